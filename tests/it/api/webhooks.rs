//! The receiver of webhooks, against every example of what is sent.

use http::Method;
use merge_client::webhook::{HEADER, sign};
use serde_json::{Value, json};

use crate::support::{Call, TestApp, WEBHOOK_SECRET, webhook_examples};

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
async fn asks_to_be_sent_again_what_cannot_be_stored() {
    let app = TestApp::new().await;
    app.database_gone().await;
    let body = b"{}";

    let answer = app
        .call(delivery(PATHS[0], body, &sign(WEBHOOK_SECRET, body)))
        .await;

    answer.expect(503);
    assert!(answer.header("retry-after").is_some());
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
