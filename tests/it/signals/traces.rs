//! One trace, and one set of ids in the log, from a request or a webhook to Merge; and a collector that is away.

use std::collections::BTreeSet;
use std::time::Duration;

use merge_sandbox::{AccountPlan, CompleteLink, Options, Running, Sandbox, WebhookTarget};
use serde_json::{Value, json};
use test_support::TestDatabase;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::collector::{Collector, Sent};
use super::exposition::Exposition;
use crate::cli::serve::{API_KEY, MERGE_KEY, Serve, WEBHOOK_SECRET};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// Kinds of spans, as the protocol has them.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;

async fn sandbox() -> Running {
    let options = Options {
        api_key: MERGE_KEY.to_owned(),
        plan: AccountPlan {
            records_per_account: 20,
            ..AccountPlan::default()
        },
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

async fn serve(database: &TestDatabase, sandbox: &Running, collector: &str) -> Serve {
    let variables = [
        ("SYNCLINE__TELEMETRY__OTLP_ENDPOINT", collector),
        ("SYNCLINE__TELEMETRY__FILTER", "info,syncline=debug"),
    ];
    let serve = Serve::start_with(database, sandbox, &variables).await;
    sandbox.set_webhook_target(Some(WebhookTarget {
        url: format!("{}/api/webhooks/merge", serve.api).parse().unwrap(),
        key: WEBHOOK_SECRET.to_owned(),
    }));
    serve
}

/// Asks for a link token, in a trace of the caller's; gives the answer, and the request's id.
async fn create_link_token(serve: &Serve) -> (Value, String) {
    let wanted = json!({
        "organization_id": "canary_org", "category": "hris",
        "end_user_organization_name": "Canary & Co", "end_user_email_address": "it@canary.example",
    });
    let address = format!("{}/api/merge/create-link-token", serve.api);
    let asked = serve.http.request(reqwest::Method::POST, address);
    let asked = asked
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .bearer_auth(API_KEY)
        .json(&wanted);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", serve.text());
    let request = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    (answer.json().await.unwrap(), request)
}

/// Links the account whose token this is, and waits until its first sync is stored; gives its public token.
async fn link(serve: &Serve, sandbox: &Running, link: &Value) -> String {
    let link_token = link["link_token"].as_str().unwrap();
    let completed = sandbox
        .complete_link(link_token, &CompleteLink::default())
        .unwrap();
    let exchange = json!({
        "organization_id": "canary_org", "public_token": completed.public_token,
    });
    serve
        .post("/api/merge/exchange-public-token", exchange)
        .await;
    let account = format!(
        "/api/merge/linked-accounts/{}",
        link["linked_account_id"].as_str().unwrap()
    );
    serve
        .until("synced", || async {
            let account = serve.get(&account).await.unwrap_or_default();
            !account["initial_sync_completed_at"].is_null()
        })
        .await;
    completed.public_token
}

/// The span of that kind and name in the trace that the caller began.
#[track_caller]
fn find<'a>(spans: &'a [Sent], kind: i32, name: &str) -> &'a Sent {
    let mut candidates = spans.iter();
    let found =
        candidates.find(|span| span.trace == TRACE && span.kind == kind && span.name == name);
    found.unwrap_or_else(|| panic!("no span `{name}` of kind {kind} in the trace: {spans:#?}"))
}

/// A trace that leads from a webhook through a job to a request to Merge.
fn led_by_webhook(spans: &[Sent]) -> bool {
    let webhooks = spans
        .iter()
        .filter(|span| span.kind == SERVER && span.name == "POST /api/webhooks/merge");
    let led = |webhook: &Sent| {
        let of_trace = |kind| {
            let mut spans = spans.iter();
            spans.find(move |span| span.kind == kind && span.trace == webhook.trace)
        };
        let job = of_trace(CONSUMER);
        job.is_some_and(|job| job.parent == webhook.id) && of_trace(CLIENT).is_some()
    };
    webhooks.into_iter().any(led)
}

#[tokio::test]
async fn one_trace_leads_from_a_request_or_a_webhook_to_merge() {
    let (database, sandbox) = (TestDatabase::new().await, sandbox().await);
    let collector = Collector::start().await;
    let mut serve = serve(&database, &sandbox, &collector.url).await;

    let (link_answer, request) = create_link_token(&serve).await;
    let public_token = link(&serve, &sandbox, &link_answer).await;
    let at_merge = sandbox.accounts()[0].id;
    serve
        .until("traced from a webhook", || async {
            // Whatever is fetched because of it, unless a poll was faster; then another.
            let _ = sandbox.start_sync(at_merge);
            led_by_webhook(&collector.spans())
        })
        .await;
    let status = serve.terminate().await;

    assert_eq!(status.code(), Some(0), "{}", serve.text());
    let spans = collector.spans();
    let route = "POST /api/merge/create-link-token";
    let server = find(&spans, SERVER, route);
    let job = find(&spans, CONSUMER, "create_pending");
    let call = find(&spans, CLIENT, "POST integrations/create-link-token");
    assert_eq!(server.parent, CALLER);
    assert_eq!((&job.parent, &call.parent), (&server.id, &job.id));
    for (span, attribute, value) in [
        (server, "http.response.status_code", "200"),
        (server, "http.route", "/api/merge/create-link-token"),
        (server, "syncline.request.id", &request),
        (job, "messaging.destination.name", "interactive"),
        (job, "syncline.job.attempt", "1"),
        (job, "syncline.job.outcome", "completed"),
        (call, "http.request.method", "POST"),
        (call, "http.response.status_code", "200"),
    ] {
        assert_eq!(span.attribute(attribute), Some(value), "{span:?}");
    }
    let is_for_machines =
        |span: &Sent| span.name.contains("/health") || span.name.contains("/metrics");
    assert!(!spans.iter().any(is_for_machines), "{spans:?}");
    check_ids(&serve.log(), server, job, &request);
    let link_token = link_answer["link_token"].as_str().unwrap();
    for secret in [
        API_KEY,
        MERGE_KEY,
        WEBHOOK_SECRET,
        link_token,
        &public_token,
        "canary_org",
        "Canary",
        "canary.example",
        "at_",
    ] {
        assert!(!collector.has(secret), "{secret} was sent to the collector");
    }
}

/// Checks that each line of the log is an object, and that those about a request and a job bear the ids of their spans.
fn check_ids(log: &str, server: &Sent, job: &Sent, request: &str) {
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        let names: BTreeSet<_> = line.as_object().unwrap().keys().collect();
        for name in ["timestamp", "level", "target", "message"] {
            assert!(names.contains(&name.to_owned()), "no {name} in {line}");
        }
    }
    let of = |message: &str, id: &str, value: &str| {
        let mut lines = lines.iter();
        let found = lines.find(|line| line["message"] == message && line[id] == value);
        found.unwrap_or_else(|| panic!("no line `{message}` with {id} {value}\n{log}"))
    };
    let answered = of("answered", "request_id", request);
    let job_id = job.attribute("messaging.message.id").unwrap();
    let ended = of("job ended", "job_id", job_id);
    for (line, span) in [(answered, server), (ended, job)] {
        assert_eq!(line["trace_id"], TRACE, "{line}");
        assert_eq!(line["span_id"], *span.id, "{line}");
    }
    assert_eq!(ended["kind"], "create_pending");
    assert_eq!(ended["attempt"], 1);
    assert_eq!(ended["outcome"], "completed");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_traces_and_nothing_else() {
    let (database, sandbox) = (TestDatabase::new().await, sandbox().await);
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mut serve = serve(&database, &sandbox, &refusing).await;

    let (link_answer, _) = create_link_token(&serve).await;
    link(&serve, &sandbox, &link_answer).await;
    serve
        .until("seen to lose traces", || async {
            let metrics = format!("{}/metrics", serve.api);
            let metrics = serve.http.request(reqwest::Method::GET, metrics).send();
            let shown = Exposition::read(&metrics.await.unwrap().text().await.unwrap());
            shown.sum("syncline_trace_spans_total", &[("outcome", "lost")]) > 0.0
        })
        .await;
    let status = serve.terminate().await;

    assert_eq!(status.code(), Some(0), "{}", serve.text());
    assert!(serve.log().contains("traces are lost"), "{}", serve.text());
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_work_nor_the_end() {
    let (database, sandbox) = (TestDatabase::new().await, sandbox().await);
    // It takes connections, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut serve = serve(&database, &sandbox, &address).await;

    let (link_answer, _) = create_link_token(&serve).await;
    link(&serve, &sandbox, &link_answer).await;
    let stopping = Instant::now();
    let status = serve.terminate().await;

    assert_eq!(status.code(), Some(0), "{}", serve.text());
    let log = serve.log();
    let stopped = log
        .lines()
        .any(|line| line.contains(r#""message":"stopped""#));
    assert!(stopped, "{}", serve.text());
    // Two seconds for the last traces; the rest is what a busy machine takes.
    assert!(stopping.elapsed() < Duration::from_secs(20), "{log}");
}
