//! One key, one job: however often, however simultaneously it is asked.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Call, NewKey, TestApp};

const EXCHANGE: &str = "/api/merge/exchange-public-token";
const CREATE: &str = "/api/merge/create-link-token";

fn keyed(route: &str, body: &Value, key: &str) -> Call {
    Call::post(route)
        .json(body)
        .header("idempotency-key", key)
        .header("prefer", "respond-async")
}

fn create() -> Value {
    json!({
        "organization_id": "org_1", "category": "hris",
        "end_user_organization_name": "Harbor", "end_user_email_address": "it@harbor.example",
    })
}

#[tokio::test]
async fn fifty_at_once_make_one_job() {
    let app = TestApp::new().await;
    for (route, body) in [
        (
            EXCHANGE,
            json!({"organization_id": "org_1", "public_token": "p"}),
        ),
        (CREATE, create()),
    ] {
        let before = app.count_jobs().await;

        let calls = (0..50).map(|_| app.call(keyed(route, &body, "key-1")));
        let answers = join_all(calls).await;

        assert_eq!(app.count_jobs().await, before + 1, "{route}");
        let first = answers[0].text("job_id");
        for answer in &answers {
            answer.expect(202);
            assert_eq!(answer.text("job_id"), first);
            assert_eq!(
                answer.header("location"),
                Some(format!("/api/jobs/{first}").as_str())
            );
            assert_eq!(answer.header("preference-applied"), Some("respond-async"));
        }
        let replayed = answers
            .iter()
            .filter(|a| a.header("idempotent-replayed") == Some("true"));
        assert_eq!(replayed.count(), 49);
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let app = TestApp::new().await;
    let body = json!({"organization_id": "org_1", "public_token": "p"});
    let other = json!({"organization_id": "org_1", "public_token": "q"});
    app.call(keyed(EXCHANGE, &body, "k")).await.expect(202);

    let problem = app.call(keyed(EXCHANGE, &other, "k")).await.expect(422);

    assert_eq!(
        problem["type"],
        "urn:syncline:problem:idempotency-key-reused"
    );
    assert_eq!(app.count_jobs().await, 1);
}

#[tokio::test]
async fn a_key_counts_for_one_route_and_one_caller() {
    let app = TestApp::new().await;
    let body = json!({"organization_id": "org_1", "public_token": "p"});
    let other = app.key(NewKey::default()).await;
    app.call(keyed(EXCHANGE, &body, "k")).await.expect(202);

    app.call(keyed(CREATE, &create(), "k")).await.expect(202);
    app.call(keyed(EXCHANGE, &body, "k").key(&other))
        .await
        .expect(202);

    assert_eq!(app.count_jobs().await, 3);
}

#[tokio::test]
async fn a_repeat_gets_the_ended_job_s_answer() {
    let app = TestApp::new().await;
    let account = app.linked_account("org_1", "hris").await;
    let body = json!({"linked_account_id": account});
    let route = "/api/merge/delete-integration";
    let first = app.call(keyed(route, &body, "k")).await.text("job_id");
    app.run_due_jobs().await;

    let call = keyed(route, &body, "k").header("prefer", "wait=5");
    let answer = app.call(call).await;

    answer.expect(200);
    assert_eq!(answer.text("job_id"), first);
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_link_token_is_never_replayed_but_made_afresh() {
    let app = TestApp::new().await;
    let ask = || {
        Call::post(CREATE)
            .json(&create())
            .header("idempotency-key", "k")
    };

    let first = app.while_working(app.call(ask())).await;
    let second = app.while_working(app.call(ask())).await;

    first.expect(200);
    second.expect(200);
    assert_eq!(
        first.text("end_user_origin_id"),
        second.text("end_user_origin_id")
    );
    assert_ne!(first.text("link_token"), second.text("link_token"));
    assert_ne!(first.text("job_id"), second.text("job_id"));
}

#[tokio::test]
async fn what_is_refused_leaves_no_key_behind() {
    let app = TestApp::new().await;
    let route = "/api/merge/delete-integration";
    let nobody = json!({"linked_account_id": "00000000-0000-7000-8000-000000000000"});
    app.call(keyed(route, &nobody, "k")).await.expect(404);
    let account = app.linked_account("org_1", "hris").await;

    let answer = app
        .call(keyed(route, &json!({"linked_account_id": account}), "k"))
        .await;

    answer.expect(202);
}
