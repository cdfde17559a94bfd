//! The receiver of webhooks, against every example of what is sent.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use merge_client::webhook::{HEADER, sign};
use queue::rollups::{self, Measure, Window};
use serde_json::{Value, json};
use syncline::config::{Environment, Sources};
use syncline::webhook_secrets::WebhookSecrets;
use tokio_util::sync::CancellationToken;

use crate::support::{Call, Logs, TestApp, WEBHOOK_SECRET, webhook_examples};

const PATHS: [&str; 4] = [
    "/api/webhooks/merge",
    "/webhooks/merge/sync-completed",
    "/webhooks/merge/model-synced",
    "/api/merge/webhook/hris",
];

fn delivery(path: &str, body: &[u8], signature: &str) -> Call {
    Call::new(Method::POST, path)
        .bytes(body)
        .without("authorization")
        .header("content-type", "application/json")
        .header(HEADER, signature)
}

#[tokio::test]
async fn stores_every_example_and_enqueues_its_processing() {
    let app = TestApp::new().await;
    for (index, example) in webhook_examples().iter().enumerate() {
        let path = PATHS[index % PATHS.len()];
        // Ours is another secret than the examples'; the published signatures are tried below.
        let answer = app.call(delivery(
            path,
            &example.body,
            &sign(WEBHOOK_SECRET, &example.body),
        ));

        assert_eq!(
            answer.await.expect(200),
            json!({"received": true}),
            "{}",
            example.file
        );
        assert_eq!(app.count_deliveries().await, index + 1, "{}", example.file);
    }
    assert!(!app.pending("process_deliveries").await.is_empty());
    for needle in ["at_example_not_a_real_token", "Zoë", "end_user_origin_id"] {
        app.assert_nowhere_in_database(needle).await;
    }
}

#[tokio::test]
async fn how_long_an_answer_takes_is_measured_of_what_is_kept() {
    let app = TestApp::new().await;
    let body = b"{}";
    for _ in 0..2 {
        let good = delivery(PATHS[0], body, &sign(WEBHOOK_SECRET, body));
        app.call(good).await.expect(200);
    }
    app.call(delivery(PATHS[0], body, "forged"))
        .await
        .expect(401);

    app.tally().store(app.pool()).await.unwrap();

    let rollup = rollups::read(app.pool(), Window::Hour, false)
        .await
        .unwrap();
    let answers = rollup.of_all(Measure::Acknowledgement).unwrap();
    assert_eq!(answers.total.count(), 2);
}

#[tokio::test]
async fn accepts_the_published_signatures_and_refuses_the_published_forgeries() {
    let examples = webhook_examples();
    let app = TestApp::with_webhook_secrets(&["another-secret", &examples[0].key]).await;
    let mut stored = 0;
    for example in &examples {
        for (name, signature) in &example.rejected {
            let answer = app.call(delivery(PATHS[0], &example.body, signature)).await;
            answer.expect(401);
            assert_eq!(
                app.count_deliveries().await,
                stored,
                "{} {name}",
                example.file
            );
        }
        for signature in &example.accepted {
            app.call(delivery(PATHS[0], &example.body, signature))
                .await
                .expect(200);
            stored += 1;
        }
    }
    assert_eq!(app.count_deliveries().await, stored);
}

#[tokio::test]
async fn a_signature_must_be_there_once_and_fit_every_byte() {
    let app = TestApp::new().await;
    let body = br#"{"hook":{"event":"Employee.synced"}}"#;
    let good = sign(WEBHOOK_SECRET, body);
    let bare = Call::new(Method::POST, PATHS[0])
        .bytes(body)
        .without("authorization");
    let altered = br#"{"hook":{"event":"Employee.synced"} }"#;
    for call in [
        bare,
        delivery(PATHS[0], body, &good).header(HEADER, &good),
        delivery(PATHS[0], altered, &good),
        delivery(PATHS[0], b"", &good),
    ] {
        app.call(call).await.expect(401);
    }
    assert_eq!(app.count_deliveries().await, 0);
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
async fn takes_as_much_as_is_allowed_and_not_one_byte_more() {
    let limit = ("SYNCLINE__HTTP__WEBHOOK_BODY_LIMIT_BYTES", "100000");
    let app = TestApp::with_settings(&[limit]).await;
    let largest = vec![b' '; 100_000];
    let signature = sign(WEBHOOK_SECRET, &largest);
    app.call(delivery(PATHS[0], &largest, &signature))
        .await
        .expect(200);

    let mut larger = largest;
    larger.push(b' ');
    let signature = sign(WEBHOOK_SECRET, &larger);
    app.call(delivery(PATHS[0], &larger, &signature))
        .await
        .expect(401);
    assert_eq!(app.count_deliveries().await, 1);
}

#[tokio::test]
async fn without_a_secret_says_that_it_is_our_fault() {
    let app = TestApp::with_webhook_secrets(&[]).await;
    let body = b"{}";
    app.call(delivery(PATHS[0], body, &sign("", body)))
        .await
        .expect(500);
}

#[tokio::test]
async fn asks_to_be_sent_again_what_cannot_be_stored_and_takes_it_when_it_can() {
    let app = TestApp::new().await;
    let body = b"{}";
    let call = || delivery(PATHS[0], body, &sign(WEBHOOK_SECRET, body));
    app.call(call()).await.expect(200);

    let cut_off = app.cut_off_database().await;
    for _ in 0..2 {
        let answer = app.call_only(call()).await;
        answer.expect(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }

    cut_off.end().await;
    app.call(call()).await.expect(200);
    assert_eq!(app.count_deliveries().await, 2);
}

#[tokio::test]
async fn those_that_come_together_share_commits_and_each_is_kept() {
    let app = TestApp::new().await;
    let bodies: Vec<String> = (0..300)
        .map(|number| format!(r#"{{"n":{number}}}"#))
        .collect();
    let calls = bodies.iter().map(|body| {
        let body = body.as_bytes();
        app.call(delivery(PATHS[0], body, &sign(WEBHOOK_SECRET, body)))
    });

    for answer in futures::future::join_all(calls).await {
        answer.expect(200);
    }

    assert_eq!(app.count_deliveries().await, bodies.len());
    let commits = app.count_commits_of_deliveries().await;
    assert!(commits < 100, "{commits} commits");
}

#[tokio::test]
async fn a_flood_of_bad_signatures_reaches_neither_the_database_nor_the_log() {
    let app = TestApp::new().await;
    let logs = Logs::capture();
    let _cut_off = app.cut_off_database().await;

    for number in 0..50 {
        let body = format!("{number}");
        let forged = sign("another-secret", body.as_bytes());
        let answer = app.call_only(delivery(PATHS[0], body.as_bytes(), &forged));
        answer.await.expect(401);
    }

    let text = logs.text();
    let lines = text.lines().filter(|line| line.contains("webhook refused"));
    assert_eq!(lines.count(), 1, "{text}");
}

#[tokio::test]
async fn more_than_there_is_room_for_is_asked_to_come_again() {
    let app = TestApp::with_settings(&[
        ("SYNCLINE__HTTP__WEBHOOK_BODY_LIMIT_BYTES", "1024"),
        ("SYNCLINE__HTTP__WEBHOOK_BUFFER_BYTES", "2048"),
    ])
    .await;
    let body = [b' '; 1000];
    let call = || delivery(PATHS[0], &body, &sign(WEBHOOK_SECRET, &body));
    let mut others = app.inbox().room();
    assert!(others.grow(1500));

    let answer = app.call(call()).await;

    answer.expect(503);
    assert!(answer.header("retry-after").is_some());
    drop(others);
    app.call(call()).await.expect(200);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut_off() {
    let app = TestApp::with_settings(&[("SYNCLINE__HTTP__BODY_TIMEOUT", "50ms")]).await;
    let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let call = delivery(PATHS[0], b"", "signature").body(Body::from_stream(never));

    app.call(call).await.expect(503);
}

#[tokio::test]
async fn another_secret_counts_from_the_next_delivery_on() {
    let app = TestApp::new().await;
    let body = b"{}";
    let by = |secret: &str| delivery(PATHS[0], body, &sign(secret, body));
    app.call(by("next")).await.expect(401);

    let both = vec!["next".into(), WEBHOOK_SECRET.into()];
    app.webhook_secrets().replace(both);
    for secret in ["next", WEBHOOK_SECRET] {
        app.call(by(secret)).await.expect(200);
    }

    app.webhook_secrets().replace(vec!["next".into()]);
    app.call(by(WEBHOOK_SECRET)).await.expect(401);
    app.call(by("next")).await.expect(200);
}

#[tokio::test]
async fn secrets_in_a_file_are_followed_while_it_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    std::fs::write(&file, "old").unwrap();
    let sources = Sources {
        environment: Environment::of([
            ("DATABASE_URL", "postgres://127.0.0.1/nothing"),
            ("MERGE_API_KEY", "key"),
            ("MERGE_WEBHOOK_SECRET_FILE", file.to_str().unwrap()),
            (
                "SYNCLINE_ENCRYPTION_KEY",
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            ),
        ]),
        ..Sources::default()
    };
    let secrets = WebhookSecrets::new(sources.webhook_secrets().unwrap());
    let are_active = async |expected: &[&str]| {
        let is_active = |secret: &&str| {
            let signature = sign(secret, b"{}");
            secrets.active().verify(signature.as_bytes(), b"{}").is_ok()
        };
        while secrets.active().ids().len() != expected.len() || !expected.iter().all(is_active) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stop = CancellationToken::new();

    let changing = async {
        std::fs::write(&file, "new, old").unwrap();
        are_active(&["new", "old"]).await;
        std::fs::write(&file, "").unwrap();
        assert!(sources.webhook_secrets().is_err());
        are_active(&["new", "old"]).await;
        std::fs::write(&file, "new").unwrap();
        are_active(&["new"]).await;
        stop.cancel();
    };
    tokio::join!(secrets.follow(&sources, stop.clone()), changing);
}

#[tokio::test]
async fn what_a_killed_process_left_without_a_job_gets_one_at_the_next_start() {
    let app = TestApp::new().await;
    app.keep_without_job(b"{}").await;
    app.assert_nothing_enqueued().await;

    app.start_another().await;

    assert_eq!(app.pending("process_deliveries").await.len(), 1);
}

#[tokio::test]
async fn counts_verdicts_and_times_answers() {
    let app = TestApp::new().await;
    let body = b"{}";
    app.call(delivery(PATHS[0], body, &sign(WEBHOOK_SECRET, body)))
        .await
        .expect(200);
    app.call(delivery(PATHS[0], body, "wrong"))
        .await
        .expect(401);

    let metrics = app
        .call(Call::new(Method::GET, "/metrics").without("authorization"))
        .await;

    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for name in [
        r#"syncline_webhook_received_total{verdict="stored"}"#,
        r#"syncline_webhook_received_total{verdict="unverified"}"#,
        "syncline_webhook_ack_duration_seconds",
        r#"route="/api/webhooks/merge""#,
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_webhook_for_an_account_we_know_is_worked_off() {
    let app = TestApp::new().await;
    let account = app.linked_account("org_1", "hris").await;
    let merge_id = app.merge_account_id(account).await;
    let body = json!({
        "hook": {"event": "LinkedAccount.sync_completed"},
        "linked_account": {"id": merge_id, "category": "hris"},
        "data": {"is_initial_sync": false, "sync_status": {}},
    });
    let body = serde_json::to_vec::<Value>(&body).unwrap();
    app.call(delivery(PATHS[0], &body, &sign(WEBHOOK_SECRET, &body)))
        .await
        .expect(200);

    app.run_due_jobs().await;

    assert_eq!(app.verdicts().await, ["processed"]);
}
