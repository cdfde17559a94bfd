//! Webhook endpoints, as the product manages them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::Method;
use jobs::enqueue_due_events::EnqueueDueEvents;
use serde_json::{Value, json};

use syncline::worker;
use tokio::time::timeout;

use crate::support::{Call, NewKey, Receiver, TestApp};

const ROUTE: &str = "/api/merge/webhook-endpoints";

/// A service that may send to this machine.
async fn app() -> TestApp {
    TestApp::with_settings(&[
        ("SYNCLINE__ENDPOINTS__ALLOW_PLAIN_HTTP", "true"),
        ("SYNCLINE__ENDPOINTS__ALLOWED_NETWORKS", "127.0.0.1"),
    ])
    .await
}

fn one(endpoint: &Value, action: &str) -> String {
    format!("{ROUTE}/{}{action}", endpoint["id"].as_str().unwrap())
}

fn secret(endpoint: &Value) -> String {
    endpoint["secret"].as_str().unwrap().to_owned()
}

/// Sends what there is to send.
async fn deliver(app: &TestApp) {
    app.enqueue(&EnqueueDueEvents {}).await;
    app.run_due_jobs().await;
}

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_and_removed() {
    let app = TestApp::new().await;
    let body = json!({
        "url": "https://hooks.example/in", "organization_id": "org_1",
        "event_types": ["record.updated", "account.linked", "record.updated"],
    });

    let answer = app.post(ROUTE, &body).await;
    let made = answer.expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(secret(&made).starts_with("whsec_"));
    app.assert_nowhere_in_database(secret(&made).trim_start_matches("whsec_"))
        .await;
    assert_eq!(
        made["event_types"],
        json!(["account.linked", "record.updated"])
    );
    assert_eq!(
        (&made["disabled_at"], &made["failures"]),
        (&Value::Null, &json!(0))
    );

    // The secret is not shown again.
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(app.get(&one(&made, "")).await.expect(200), shown);
    let list = app
        .get(&format!("{ROUTE}?organization_id=org_1"))
        .await
        .expect(200);
    assert_eq!(list, json!({ "webhook_endpoints": [shown], "next": null }));
    let list = app
        .get(&format!("{ROUTE}?organization_id=org_2"))
        .await
        .expect(200);
    assert_eq!(list["webhook_endpoints"], json!([]));

    let change =
        json!({ "url": "https://hooks.example/other", "event_types": null, "description": "ours" });
    let call = Call::new(Method::PATCH, &one(&made, "")).json(&change);
    let changed = app.call(call).await.expect(200);
    assert_eq!(changed["url"], "https://hooks.example/other");
    assert_eq!(
        (&changed["event_types"], &changed["description"]),
        (&Value::Null, &json!("ours"))
    );
    let disabled = app
        .post(&one(&made, "/disable"), json!({}))
        .await
        .expect(200);
    assert_eq!(disabled["disabled_reason"], "by_request");
    let enabled = app
        .post(&one(&made, "/enable"), json!({ "from": "now" }))
        .await
        .expect(200);
    assert_eq!(enabled["disabled_reason"], Value::Null);

    let remove = || Call::new(Method::DELETE, &one(&made, ""));
    app.call(remove()).await.expect(200);
    app.call(remove()).await.expect(404);
    app.get(&one(&made, "")).await.expect(404);
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_refused_with_the_reason() {
    let app = TestApp::new().await;
    for (url, reason) in [
        ("http://hooks.example/in", "https"),
        ("https://127.0.0.1/in", "public"),
        ("https://[::ffff:10.0.0.1]/in", "public"),
        ("https://169.254.169.254/latest/meta-data", "public"),
        ("https://user:pw@hooks.example/", "password"),
        ("https://hooks.example:25/", "port"),
        ("hooks.example", "URL"),
    ] {
        let answer = app.post(ROUTE, json!({ "url": url })).await;

        let problem = answer.expect(422);
        assert_eq!(answer.faults(), ["/url"], "{url}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{url}: {detail}");
    }
    for (wrong, field) in [
        (
            json!({ "url": "https://a.example/", "event_types": [] }),
            "/event_types",
        ),
        (
            json!({ "url": "https://a.example/", "event_types": ["record.moved"] }),
            "/event_types/0",
        ),
        (
            json!({ "url": "https://a.example/", "secret": "mine" }),
            "/secret",
        ),
        (json!({}), "/url"),
    ] {
        let answer = app.post(ROUTE, &wrong).await;
        answer.expect(422);
        assert_eq!(answer.faults(), [field], "{wrong}");
    }
    let list = app.get(ROUTE).await.expect(200);
    assert_eq!(list["webhook_endpoints"], json!([]));
}

#[tokio::test]
async fn asking_again_under_the_same_key_makes_nothing_new_and_shows_the_secret_again() {
    let app = TestApp::new().await;
    let body = json!({ "url": "https://hooks.example/in" });
    let create = || Call::post(ROUTE).json(&body).header("idempotency-key", "k");

    let made = app.call(create()).await.expect(201);
    let again = app.call(create()).await.expect(201);
    assert_eq!(made, again);
    let other = json!({ "url": "https://hooks.example/other" });
    let other = Call::post(ROUTE)
        .json(&other)
        .header("idempotency-key", "k");
    app.call(other).await.expect(422);

    let rotate = |endpoint: &Value| {
        let call = Call::post(&one(endpoint, "/rotate-secret")).json(&json!({}));
        call.header("idempotency-key", "r")
    };
    let rotated = app.call(rotate(&made)).await.expect(200);
    let again = app.call(rotate(&made)).await.expect(200);
    assert_eq!(rotated, again);
    assert_ne!(secret(&rotated), secret(&made));
    // The same key for another endpoint is another wish.
    let second = app.post(ROUTE, &body).await.expect(201);
    let of_second = app.call(rotate(&second)).await.expect(200);
    assert_eq!(of_second["id"], second["id"]);
    let list = app.get(ROUTE).await.expect(200);
    assert_eq!(list["webhook_endpoints"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign() {
    let app = app().await;
    let receiver = Receiver::start().await;
    let made = app
        .post(ROUTE, json!({ "url": receiver.url() }))
        .await
        .expect(201);
    let route = one(&made, "/rotate-secret");
    let rotated = app.post(&route, json!({})).await.expect(200);
    assert_eq!(rotated["has_old_secret"], true);
    let problem = app.post(&route, json!({})).await.expect(409);
    assert_eq!(problem["type"], "urn:syncline:problem:endpoint-conflict");

    app.linked_account("org_1", "hris").await;
    deliver(&app).await;
    let first = receiver.received().pop().unwrap();
    assert!(first.verifies_with(&secret(&made)) && first.verifies_with(&secret(&rotated)));

    let route = one(&made, "/remove-old-secret");
    let retired = app.post(&route, json!({})).await.expect(200);
    assert_eq!(retired["has_old_secret"], false);
    app.post(&route, json!({})).await.expect(409);
    app.linked_account("org_1", "ats").await;
    deliver(&app).await;
    let last = receiver.received().pop().unwrap();
    assert!(!last.verifies_with(&secret(&made)) && last.verifies_with(&secret(&rotated)));
}

#[tokio::test]
async fn a_test_tells_whether_it_was_taken() {
    let app = app().await;
    let receiver = Receiver::start().await;
    let made = app
        .post(ROUTE, json!({ "url": receiver.url() }))
        .await
        .expect(201);
    let route = one(&made, "/test");

    let taken = app
        .while_working(app.post(&route, json!({})))
        .await
        .expect(200);
    receiver.answer_next(500);
    let refused = app
        .while_working(app.post(&route, json!({})))
        .await
        .expect(200);

    assert_eq!(
        (&taken["delivered"], &taken["http_status"]),
        (&json!(true), &json!(204))
    );
    assert_eq!(refused["error"], "the endpoint answered 500");
    assert!(receiver.received()[0].verifies_with(&secret(&made)));
    let call = Call::post(&route)
        .json(&json!({}))
        .header("prefer", "respond-async");
    app.call(call).await.expect(202);
}

#[tokio::test]
async fn what_is_enabled_goes_on_where_it_stopped_unless_that_is_kept_no_longer() {
    let app = app().await;
    let receiver = Receiver::start().await;
    let made = app
        .post(ROUTE, json!({ "url": receiver.url() }))
        .await
        .expect(201);
    app.post(&one(&made, "/disable"), json!({}))
        .await
        .expect(200);
    app.linked_account("org_1", "hris").await;
    deliver(&app).await;
    assert_eq!(receiver.ids(), Vec::<String>::new());

    app.post(&one(&made, "/enable"), json!({}))
        .await
        .expect(200);
    app.run_due_jobs().await;
    assert_eq!(receiver.ids()[0], "evt_1");

    app.post(&one(&made, "/disable"), json!({}))
        .await
        .expect(200);
    sqlx::query!("UPDATE syncline.event_feed SET last_position = 900, forgotten_through = 800")
        .execute(app.pool())
        .await
        .unwrap();
    app.post(&one(&made, "/enable"), json!({}))
        .await
        .expect(410);
    let enabled = app
        .post(&one(&made, "/enable"), json!({ "from": "now" }))
        .await
        .expect(200);
    assert_eq!(enabled["position"], 900);
}

#[tokio::test]
async fn a_key_of_one_organization_has_endpoints_of_its_own_only() {
    let app = app().await;
    let (own_receiver, their_receiver) = (Receiver::start().await, Receiver::start().await);
    let key = app
        .key(NewKey {
            organization_id: Some("own"),
            ..NewKey::default()
        })
        .await;
    let theirs = json!({ "url": their_receiver.url(), "organization_id": "theirs" });
    let theirs = app.post(ROUTE, &theirs).await.expect(201);
    let everybodys = app
        .post(ROUTE, json!({ "url": their_receiver.url() }))
        .await
        .expect(201);

    let call = Call::post(ROUTE)
        .json(&json!({ "url": own_receiver.url() }))
        .key(&key);
    let own = app.call(call).await.expect(201);
    assert_eq!(own["organization_id"], "own");
    let foreign = json!({ "url": own_receiver.url(), "organization_id": "theirs" });
    app.call(Call::post(ROUTE).json(&foreign).key(&key))
        .await
        .expect(404);
    let list = app
        .call(Call::new(Method::GET, ROUTE).key(&key))
        .await
        .expect(200);
    assert_eq!(list["webhook_endpoints"].as_array().unwrap().len(), 1);
    for other in [&theirs, &everybodys] {
        for (method, action) in [
            (Method::GET, ""),
            (Method::PATCH, ""),
            (Method::DELETE, ""),
            (Method::POST, "/rotate-secret"),
            (Method::POST, "/remove-old-secret"),
            (Method::POST, "/enable"),
            (Method::POST, "/disable"),
            (Method::POST, "/test"),
        ] {
            let call = Call::new(method, &one(other, action))
                .json(&json!({}))
                .key(&key);
            app.call(call).await.expect(404);
        }
    }

    app.linked_account("theirs", "hris").await;
    app.linked_account("own", "ats").await;
    deliver(&app).await;
    let got = own_receiver.received();
    assert!(!got.is_empty());
    assert!(
        got.iter()
            .all(|event| event.json()["data"]["organization_id"] == "own")
    );
}

/// Nothing ticks here: the process that told an event is the one that has it sent.
#[tokio::test]
async fn an_event_is_sent_as_soon_as_the_job_that_told_it_has_ended() {
    let app = app().await;
    let receiver = Receiver::start().await;
    let endpoint = json!({ "url": receiver.url(), "event_types": ["account.linked"] });
    app.post(ROUTE, endpoint).await.expect(201);
    let working = worker::run(app.app().clone(), app.app().shutdown.clone());
    let working = app.app().requests.spawn(working);

    let wanted = json!({
        "organization_id": "org_1", "category": "hris",
        "end_user_organization_name": "Harbor", "end_user_email_address": "it@harbor.example",
    });
    let link = app.post("/api/merge/create-link-token", wanted).await;
    link.expect(200);
    let public_token = app.finish_linking(&link.text("link_token"));
    let exchange = json!({ "organization_id": "org_1", "public_token": public_token });
    let linked = app.post("/api/merge/exchange-public-token", exchange).await;
    linked.expect(200);
    let arrived = timeout(Duration::from_mins(1), receiver.arrived()).await;
    app.app().shutdown.cancel();
    working.await.unwrap().unwrap();

    arrived.expect("it is sent without a tick");
    assert_eq!(
        receiver.received()[0].json()["data"]["linked_account_id"],
        linked.text("linked_account_id")
    );
}
