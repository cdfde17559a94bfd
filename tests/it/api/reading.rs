//! Accounts, records and how a sync stands, as the product reads them; and the machines' routes.

use http::Method;
use serde_json::json;

use crate::support::{Call, TestApp};

#[tokio::test]
async fn a_synced_account_shows_its_models_and_gives_its_records_page_by_page() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await;

    let shown = app
        .get(&format!("/api/merge/linked-accounts/{account}"))
        .await
        .expect(200);
    let check = app.post(
        "/api/merge/check-sync-status",
        json!({"linked_account_id": account}),
    );
    let check = check.await.expect(200);

    assert!(shown["initial_sync_completed_at"].is_string(), "{shown}");
    assert_eq!(check["sync_complete"], true);
    assert!(check["last_sync_time"].is_string());
    let models = shown["models"].as_array().unwrap();
    let stored: i64 = models
        .iter()
        .map(|model| model["records"].as_i64().unwrap())
        .sum();
    assert_eq!(stored, app.count_records(account).await);

    let fullest = models
        .iter()
        .max_by_key(|model| model["records"].as_i64())
        .unwrap();
    let model_id = fullest["model_id"].as_str().unwrap();
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/api/merge/records/{model_id}?linked_account_id={account}&include_deleted=true&limit=7{cursor}"
        );
        let page = app.get(&path).await.expect(200);
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= 7);
        ids.extend(
            records
                .iter()
                .map(|record| record["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let total = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), total, "no record twice");
    assert_eq!(
        i64::try_from(total).unwrap(),
        fullest["records"].as_i64().unwrap()
    );
}

#[tokio::test]
async fn a_model_of_another_category_is_refused() {
    let app = TestApp::new().await;
    let account = app.linked_account("org_1", "hris").await;

    let path = format!("/api/merge/records/ats.Job?linked_account_id={account}");
    let answer = app.get(&path).await;

    answer.expect(422);
    assert_eq!(answer.faults(), ["linked_account_id"]);
}

#[tokio::test]
async fn lists_page_by_page_in_order_of_creation() {
    let app = TestApp::new().await;
    let mut linked = Vec::new();
    for category in ["hris", "ats", "crm"] {
        linked.push(app.linked_account("org_1", category).await.to_string());
    }

    let mut listed = Vec::new();
    let mut cursor = String::new();
    for _ in 0..4 {
        let path = format!("/api/merge/linked-accounts?organization_id=org_1&limit=1{cursor}");
        let page = app.get(&path).await.expect(200);
        for account in page["linked_accounts"].as_array().unwrap() {
            listed.push(account["id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }

    assert_eq!(listed, linked);
    let path = "/api/merge/linked-accounts?organization_id=org_1&category=ats&status=active";
    let filtered = app.get(path).await.expect(200);
    assert_eq!(filtered["linked_accounts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn readiness_follows_the_database_and_liveness_does_not() {
    let app = TestApp::new().await;
    let open = |path| Call::new(Method::GET, path).without("authorization");
    app.call(open("/health/live")).await.expect(200);
    app.call(open("/health/ready")).await.expect(200);

    app.database_gone().await;

    app.call(open("/health/live")).await.expect(200);
    app.call(open("/health/ready")).await.expect(503);
}

#[tokio::test]
async fn a_request_keeps_the_id_its_caller_gave() {
    let app = TestApp::new().await;
    let call = || Call::new(Method::GET, "/no/such/place");

    let given = app.call(call().header("x-request-id", "trace-7")).await;
    let forged = app.call(call().header("x-request-id", "a b")).await;

    assert_eq!(given.expect(404)["request_id"], "trace-7");
    assert_ne!(forged.expect(404)["request_id"], "a b");
}

#[tokio::test]
async fn what_can_be_linked_is_listed_with_its_age() {
    let app = TestApp::new().await;
    let before = app.get("/api/merge/integrations").await.expect(200);
    assert_eq!(before, json!({"integrations": [], "refreshed_at": null}));

    app.enqueue(&jobs::refresh_integrations::RefreshIntegrations {})
        .await;
    app.run_due_jobs().await;

    let all = app.get("/api/merge/integrations").await.expect(200);
    let ats = app
        .get("/api/merge/integrations?category=ats")
        .await
        .expect(200);
    assert!(all["refreshed_at"].is_string());
    let count = |list: &serde_json::Value| list["integrations"].as_array().unwrap().len();
    assert!(0 < count(&ats) && count(&ats) < count(&all));
    for key in [
        "slug",
        "name",
        "categories",
        "image",
        "square_image",
        "color",
    ] {
        assert!(ats["integrations"][0].get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn records_are_shown_in_the_product_s_own_words_beside_merge_s() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mapping = r#"
        ["hris.Employee"]
        email = "work_email"
        status = { from = "employment_status", lookup = { ACTIVE = "here" }, default = "gone" }
    "#;
    std::fs::write(file.path(), mapping).unwrap();
    let path = file.path().to_str().unwrap();
    let app = TestApp::with_settings(&[("SYNCLINE__SYNC__MAPPING_FILE", path)]).await;
    let account = app.synced_account("org_1", "hris").await;

    let records = |model: &str| {
        let path = format!("/api/merge/records/{model}?linked_account_id={account}");
        let app = &app;
        async move { app.get(&path).await.expect(200)["records"].clone() }
    };
    let employees = records("hris.Employee").await;
    let teams = records("hris.Team").await;

    let employees = employees.as_array().unwrap();
    assert!(!employees.is_empty());
    for employee in employees {
        let is_active = employee["data"]["employment_status"] == "ACTIVE";
        let expected = json!({
            "email": employee["data"]["work_email"],
            "status": if is_active { "here" } else { "gone" },
        });
        assert_eq!(employee["mapped"], expected, "{employee}");
    }
    assert!(teams[0].get("mapped").is_none(), "{teams}");
}

#[tokio::test]
async fn a_model_that_is_not_selected_is_shown_as_such_and_spoils_no_status() {
    let app = TestApp::with_settings(&[("SYNCLINE__SYNC__MODELS", "hris.Team")]).await;
    let account = app.synced_account("org_1", "hris").await;
    sqlx::query!(
        "UPDATE syncline.model_syncs SET status = 'FAILED' WHERE model_id = 'hris.Employee'"
    )
    .execute(app.pool())
    .await
    .unwrap();

    let body = json!({"linked_account_id": account});
    let check = app.post("/api/merge/check-sync-status", &body).await;

    let check = check.expect(200);
    assert_eq!(check["sync_status"], "DONE", "{check}");
    for model in check["models"].as_array().unwrap() {
        let is_team = model["model_id"] == "hris.Team";
        assert_eq!(model.get("refusal").is_none(), is_team, "{model}");
    }
}
