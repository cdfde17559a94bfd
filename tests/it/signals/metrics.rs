//! Every metric is shown as the catalogue says, after everything that the service does happened once.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use jobs::enqueue_due_events::EnqueueDueEvents;
use merge_client::webhook::{HEADER, sign};
use metrics_exporter_prometheus::PrometheusBuilder;
use queue::NewJob;
use serde_json::json;
use syncline::telemetry::{self, CATALOGUE, Kind};
use syncline::{api, worker};
use tokio::time::{sleep, timeout};

use super::exposition::Exposition;
use super::promtool::promtool;
use crate::support::{Call, Receiver, TestApp, WEBHOOK_SECRET};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// A service whose requests wait for their rate, and whose endpoints may be on this machine.
async fn service() -> TestApp {
    TestApp::with_settings(&[
        ("SYNCLINE__MERGE__REQUESTS_PER_MINUTE", "600"),
        ("SYNCLINE__MERGE__BURST", "1"),
        ("SYNCLINE__ENDPOINTS__ALLOW_PLAIN_HTTP", "true"),
        ("SYNCLINE__ENDPOINTS__ALLOWED_NETWORKS", "127.0.0.0/8"),
    ])
    .await
}

async fn look(app: &TestApp) -> (Exposition, String) {
    telemetry::look_once(app.pool()).await.unwrap();
    telemetry::note_pools(&[("api", app.pool().clone())]);
    let answer = app.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    (Exposition::read(&text), text)
}

/// Links an account, and waits until its first sync is stored by the running worker.
async fn link(app: &TestApp) {
    let wanted = json!({
        "organization_id": "org_1", "category": "hris",
        "end_user_organization_name": "Harbor", "end_user_email_address": "it@harbor.example",
    });
    let link = app.post("/api/merge/create-link-token", wanted).await;
    link.expect(200);
    let public_token = app.finish_linking(&link.text("link_token"));
    let exchange = json!({ "organization_id": "org_1", "public_token": public_token });
    let exchange = app.post("/api/merge/exchange-public-token", exchange).await;
    exchange.expect(200);
    let account = exchange.text("linked_account_id");
    let path = format!("/api/merge/linked-accounts/{account}");
    let stored = async {
        while app.get(&path).await.expect(200)["initial_sync_completed_at"].is_null() {
            // The sandbox syncs in real time, the next poll comes in the queue's.
            sleep(Duration::from_millis(20)).await;
            app.advance(Duration::from_mins(10)).await;
            app.app().queue.wake();
        }
    };
    timeout(PATIENCE, stored).await.expect("stored in time");
}

async fn deliver(app: &TestApp, body: &[u8], signature: &str) -> u16 {
    let call = Call::post("/api/webhooks/merge").bytes(body);
    let answer = app.call(call.header(HEADER, signature)).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn every_metric_is_shown_with_the_labels_of_the_catalogue() {
    let app = service().await;
    let working = worker::run(app.app().clone(), app.app().shutdown.clone());
    let working = app.app().requests.spawn(working);
    let gone = Receiver::start().await;
    gone.answer(410);
    let endpoint = json!({ "url": gone.url() });
    app.post("/api/merge/webhook-endpoints", endpoint)
        .await
        .expect(201);

    link(&app).await;
    assert_eq!(
        deliver(&app, b"{}", &sign(WEBHOOK_SECRET, b"{}")).await,
        200
    );
    assert_eq!(deliver(&app, b"{}", "bm8").await, 401);
    app.enqueue(&EnqueueDueEvents {}).await;
    app.app().queue.wake();
    timeout(PATIENCE, gone.arrived())
        .await
        .expect("an event is sent");
    let (shown, text) = timeout(PATIENCE, async {
        loop {
            let (shown, text) = look(&app).await;
            let has_given_up = shown.sum("syncline_endpoints_disabled_total", &[]) > 0.0;
            let has_judged = shown.sum("syncline_webhook_judged_total", &[]) > 0.0;
            if has_given_up && has_judged {
                return (shown, text);
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("all that was begun has ended");
    app.app().shutdown.cancel();
    working.await.unwrap().unwrap();

    for metric in &CATALOGUE {
        let mut declared: Vec<_> = metric
            .labels
            .iter()
            .map(|label| label.name.to_owned())
            .collect();
        declared.sort();
        let name = metric.name;
        assert_eq!(shown.labels(name), BTreeSet::from([declared]), "{name}");
        let head = format!("# TYPE {name} {}\n", metric.kind.as_str());
        assert!(text.contains(&head), "{head}{text}");
        assert!(
            text.contains(&format!("# HELP {name} {}\n", metric.help)),
            "{name}"
        );
        assert_eq!(
            shown.names().contains(format!("{name}_bucket").as_str()),
            metric.kind == Kind::Histogram
        );
    }
    for name in shown.names() {
        let is_declared = CATALOGUE.iter().any(|metric| {
            let mut samples = shown.of(metric.name);
            samples.any(|sample| sample.name == name)
        });
        assert!(is_declared, "{name} is not in the catalogue");
    }
    for counted in [
        "syncline_jobs_enqueued_total",
        "syncline_jobs_started_total",
        "syncline_jobs_finished_total",
        "syncline_merge_requests_total",
        "syncline_webhook_commits_total",
        "syncline_limiter_wait_seconds_count",
        "syncline_job_run_duration_seconds_count",
        "syncline_queue_slots",
        "syncline_database_seen_timestamp_seconds",
    ] {
        assert!(shown.sum(counted, &[]) > 0.0, "{counted}");
    }
    promtool(&["check", "metrics"], &text);
}

#[tokio::test]
async fn what_is_from_the_database_is_what_the_database_says() {
    let app = service().await;
    let mut conn = app.pool().acquire().await.unwrap();
    let now = store::activity::look(&mut conn).await.unwrap().now;
    let job = NewJob::new(&EnqueueDueEvents {}).unwrap();
    let job = job.run_at(now - TimeDelta::minutes(10));
    queue::enqueue(&mut *conn, &job).await.unwrap();

    // One of its own: other tests look at other databases meanwhile.
    let recorder = PrometheusBuilder::new().build_recorder();
    let looking = ::metrics::set_default_local_recorder(&recorder);
    telemetry::look_once(app.pool()).await.unwrap();
    drop(looking);

    let text = recorder.handle().render();
    let shown = Exposition::read(&text);
    let maintenance = ("queue", "maintenance");
    for (name, labels, least, most) in [
        (
            "syncline_queue_jobs",
            vec![maintenance, ("state", "available")],
            1.0,
            1.0,
        ),
        ("syncline_queue_jobs", vec![], 1.0, 1.0),
        // The minute in which it was due is known, the second is not.
        (
            "syncline_queue_oldest_ready_age_seconds",
            vec![maintenance],
            539.0,
            660.0,
        ),
        (
            "syncline_queue_oldest_ready_age_seconds",
            vec![("queue", "sync")],
            0.0,
            0.0,
        ),
        ("syncline_workers", vec![], 0.0, 0.0),
        ("syncline_dead_jobs", vec![], 0.0, 0.0),
    ] {
        let value = shown.sum(name, &labels);
        assert!(
            (least..=most).contains(&value),
            "{name} {labels:?}: {value}"
        );
    }
}

#[tokio::test]
async fn metrics_with_an_address_of_their_own_are_nowhere_else() {
    let address = ("SYNCLINE__TELEMETRY__METRICS_LISTEN", "127.0.0.1:9464");
    let app = TestApp::with_settings(&[address]).await;
    let own = api::Surfaces {
        has_api: false,
        has_console: false,
    };

    let at_api = app.get("/metrics").await;
    let at_own = app
        .call_at(own, Call::new(http::Method::GET, "/metrics"))
        .await;
    let health = app
        .call_at(own, Call::new(http::Method::GET, "/health/live"))
        .await;

    at_api.expect(404);
    assert_eq!((at_own.status.as_u16(), health.status.as_u16()), (200, 200));
}
