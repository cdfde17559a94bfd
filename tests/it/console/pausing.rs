//! Who is paused, and where that is told.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn an_organization_is_paused_and_its_accounts_say_so() {
    let app = TestApp::new().await;
    let operator = app.visitor(&["operate"]).await;
    let account = app.synced_account("org_1", "hris").await;
    let fields = [
        ("scope", "organization"),
        ("name", "org_1"),
        ("reason", "their system is down"),
    ];

    operator.follow("queues/pause", &fields).await;
    let poll = format!("/api/ops/accounts/{account}/poll");
    let job = app.post(&poll, json!({})).await.expect(200);
    app.run_due_jobs().await;

    let id = job["job_id"].as_str().unwrap();
    let why = operator.get(&format!("jobs/{id}")).await.page();
    assert!(why.contains("paused the organization `org_1`"), "{why}");
    let page = operator.get(&format!("accounts/{account}")).await.page();
    assert!(
        page.contains("Its organization is paused by key test"),
        "{page}"
    );
    let body = json!({ "organization_id": "org_1" });
    app.post("/api/ops/queues/resume", body).await.expect(200);
    app.run_due_jobs().await;
    let done = app.get(&format!("/api/ops/jobs/{id}")).await.expect(200);
    assert_eq!(done["job"]["state"], "completed", "{done}");
}
