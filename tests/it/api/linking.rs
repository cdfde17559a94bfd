//! Linking, relinking and deleting through the API, the queue, and the sandbox.

use serde_json::{Value, json};

use crate::support::{Call, Logs, TestApp};

const CREATE: &str = "/api/merge/create-link-token";

fn create(organization_id: &str) -> Value {
    json!({
        "organization_id": organization_id, "category": "hris",
        "end_user_organization_name": "Harbor & Fjord", "end_user_email_address": "it@harbor.example",
    })
}

#[tokio::test]
async fn a_waiting_caller_gets_its_link_token_and_nobody_else() {
    let logs = Logs::capture();
    let app = TestApp::new().await;

    let answer = app.while_working(app.post(CREATE, &create("org_1"))).await;

    let body = answer.expect(200);
    let token = answer.text("link_token");
    assert_eq!(body["success"], true);
    assert!(
        body["end_user_origin_id"]
            .as_str()
            .unwrap()
            .starts_with("org_1_hris_"),
        "{body}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    app.assert_nowhere_in_database(&token).await;
    let job = app
        .get(&format!("/api/jobs/{}", answer.text("job_id")))
        .await;
    assert_eq!(job.expect(200)["state"], "completed");
    assert!(!job.json().to_string().contains(&token));
    logs.assert_without(&token);
    assert!(
        logs.text().contains("http.request"),
        "the log was captured: {}",
        logs.text()
    );
}

#[tokio::test]
async fn two_clicks_at_once_make_one_pending_account_and_two_tokens() {
    let app = TestApp::new().await;

    let clicks = async {
        tokio::join!(
            app.post(CREATE, create("org_1")),
            app.post(CREATE, create("org_1"))
        )
    };
    let (one, two) = app.while_working(clicks).await;

    assert_eq!(
        one.expect(200)["linked_account_id"],
        two.expect(200)["linked_account_id"]
    );
    assert_ne!(one.text("link_token"), two.text("link_token"));
    let list = app
        .get("/api/merge/linked-accounts?organization_id=org_1")
        .await
        .expect(200);
    assert_eq!(list["linked_accounts"].as_array().unwrap().len(), 1);
    assert_eq!(list["linked_accounts"][0]["status"], "pending");
}

#[tokio::test]
async fn a_caller_in_a_hurry_gets_the_job_s_address() {
    let app = TestApp::new().await;
    for prefer in ["respond-async", "wait=0", "wait=1"] {
        let call = Call::post(CREATE)
            .json(&create("org_1"))
            .header("prefer", prefer);
        let answer = app.call(call).await;

        let body = answer.expect(202);
        let location = answer.header("location").unwrap();
        assert_eq!(
            location,
            format!("/api/jobs/{}", body["job_id"].as_str().unwrap())
        );
        assert!(answer.header("preference-applied").is_some());
        let job = app.get(location).await.expect(200);
        assert_eq!(job["state"], "available");
        assert!(body.get("link_token").is_none());
    }
}

#[tokio::test]
async fn exchanging_a_public_token_activates_the_account() {
    let app = TestApp::new().await;
    let link = app.while_working(app.post(CREATE, &create("org_1"))).await;
    let public_token = app.finish_linking(&link.text("link_token"));

    let body = json!({"organization_id": "org_1", "public_token": public_token});
    let exchange = app.post("/api/merge/exchange-public-token", &body);
    let answer = app.while_working(exchange).await;

    let body = answer.expect(200);
    assert_eq!(body["success"], true);
    assert_eq!(body["linked_account_id"], link.json()["linked_account_id"]);
    assert!(
        body["integration_name"].is_string() && body["integration_slug"].is_string(),
        "{body}"
    );
    app.assert_nowhere_in_database(&public_token).await;
    let path = format!(
        "/api/merge/linked-accounts/{}",
        answer.text("linked_account_id")
    );
    assert_eq!(app.get(&path).await.expect(200)["status"], "active");
}

#[tokio::test]
async fn a_public_token_of_another_organization_is_not_found() {
    let app = TestApp::new().await;
    let link = app.while_working(app.post(CREATE, &create("org_1"))).await;
    let public_token = app.finish_linking(&link.text("link_token"));

    let body = json!({"organization_id": "org_2", "public_token": public_token});
    let answer = app
        .while_working(app.post("/api/merge/exchange-public-token", &body))
        .await;

    answer.expect(404);
    let list = app
        .get("/api/merge/linked-accounts?organization_id=org_1")
        .await
        .expect(200);
    assert_eq!(list["linked_accounts"][0]["status"], "pending");
}

#[tokio::test]
async fn a_public_token_that_the_provider_does_not_know_is_refused() {
    let app = TestApp::new().await;

    let body = json!({"organization_id": "org_1", "public_token": "made-up"});
    let answer = app
        .while_working(app.post("/api/merge/exchange-public-token", &body))
        .await;

    let status = answer.status.as_u16();
    assert!(matches!(status, 404 | 422), "{:?}", answer.body);
    answer.expect(status);
}

#[tokio::test]
async fn relinking_gives_a_fresh_token_for_the_same_account() {
    let app = TestApp::new().await;
    let account = app.linked_account("org_1", "hris").await;

    let relink = app.post(
        "/api/merge/relink-integration",
        json!({"integration_id": account}),
    );
    let answer = app.while_working(relink).await;

    answer.expect(200);
    app.assert_nowhere_in_database(&answer.text("link_token"))
        .await;
}

#[tokio::test]
async fn a_pending_account_cannot_be_relinked() {
    let app = TestApp::new().await;
    let link = app.while_working(app.post(CREATE, &create("org_1"))).await;

    let body = json!({"linked_account_id": link.text("linked_account_id")});
    let problem = app
        .post("/api/merge/relink-integration", &body)
        .await
        .expect(409);

    assert_eq!(problem["type"], "urn:syncline:problem:conflict");
}

#[tokio::test]
async fn deleting_answers_at_once_and_leaves_nothing() {
    let app = TestApp::new().await;
    let account = app.linked_account("org_1", "hris").await;

    let delete = app.post(
        "/api/merge/delete-integration",
        json!({"linked_account_id": account}),
    );
    delete.await.expect(202);
    app.run_due_jobs().await;

    app.get(&format!("/api/merge/linked-accounts/{account}"))
        .await
        .expect(404);
}

/// Only one connection may be in a category.
const ONE: (&str, &str) = ("SYNCLINE__MERGE__CONNECTIONS", "one");

#[tokio::test]
async fn where_one_connection_may_be_a_second_is_refused_until_the_first_is_deleted() {
    let app = TestApp::with_settings(&[ONE]).await;
    let account = app.linked_account("org_1", "hris").await;
    let path = format!("/api/merge/linked-accounts/{account}");
    let linked = app.get(&path).await.expect(200);
    assert_eq!(linked["end_user_origin_id"], "org_1_hris");

    let problem = app.post(CREATE, create("org_1")).await.expect(409);
    assert_eq!(problem["type"], "urn:syncline:problem:already-active");
    let other = app.while_working(app.post(CREATE, create("org_2"))).await;
    assert_eq!(other.expect(200)["end_user_origin_id"], "org_2_hris");

    // Relinking it is no second one.
    let body = json!({"linked_account_id": account});
    let relink = app.post("/api/merge/relink-integration", &body);
    let relink = app.while_working(relink).await;
    app.finish_linking(&relink.text("link_token"));
    let list = app.get("/api/merge/linked-accounts?organization_id=org_1");
    let list = list.await.expect(200);
    assert_eq!(list["linked_accounts"].as_array().unwrap().len(), 1);
    assert_eq!(list["linked_accounts"][0]["id"], account.to_string());
    assert_eq!(
        list["linked_accounts"][0]["end_user_origin_id"],
        "org_1_hris"
    );

    let delete = app.post("/api/merge/delete-integration", &body);
    delete.await.expect(202);
    app.post(CREATE, create("org_1")).await.expect(409);
    app.run_due_jobs().await;
    let again = app.while_working(app.post(CREATE, create("org_1"))).await;
    assert_eq!(again.expect(200)["end_user_origin_id"], "org_1_hris");
    assert_ne!(again.json()["linked_account_id"], account.to_string());
}

#[tokio::test]
async fn where_one_connection_may_be_a_pending_one_is_reused_by_clicks_at_once() {
    let app = TestApp::with_settings(&[ONE]).await;
    let mut straight = create("org_1");
    straight["integration"] = "bamboohr".into();

    let clicks = async {
        tokio::join!(
            app.post(CREATE, create("org_1")),
            app.post(CREATE, straight)
        )
    };
    let (one, two) = app.while_working(clicks).await;

    assert_eq!(
        one.expect(200)["linked_account_id"],
        two.expect(200)["linked_account_id"]
    );
}

#[tokio::test]
async fn each_person_has_the_one_connection_of_their_own() {
    let app = TestApp::with_settings(&[ONE]).await;
    app.linked_account("org_1", "hris").await;
    for (organization, person, expected) in [
        ("org_1", "u-7", "org_1_u-7_hris"),
        ("org_1", "u-8", "org_1_u-8_hris"),
        ("org_2", "u-7", "org_2_u-7_hris"),
    ] {
        let mut body = create(organization);
        body["user_id"] = person.into();
        let answer = app.while_working(app.post(CREATE, body)).await;
        assert_eq!(answer.expect(200)["end_user_origin_id"], expected);
    }
}

#[tokio::test]
async fn a_category_that_is_not_selected_is_not_linked() {
    let app = TestApp::with_settings(&[("SYNCLINE__SYNC__MODELS", "crm, ats.Job")]).await;

    let problem = app.post(CREATE, create("org_1")).await.expect(422);

    assert_eq!(problem["errors"][0]["pointer"], "/category");
    app.assert_nothing_enqueued().await;
}
