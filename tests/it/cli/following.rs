//! One record, followed from the webhook to the feed by the means that people have: as ARCHITECTURE.md tells it.

use std::time::Duration;

use chrono::SecondsFormat;
use merge_client::webhook::{HEADER, sign};
use serde_json::{Value, json};

use super::binary::{output, syncline};
use crate::support::{Call, TestApp, WEBHOOK_SECRET};

/// What a command prints on this database.
async fn printed(app: &TestApp, arguments: &[&str]) -> String {
    let mut command = syncline(arguments);
    command.env("DATABASE_URL", app.database_url());
    let (code, shown, stderr) = output(command).await;
    assert_eq!(code, 0, "{arguments:?} {stderr}");
    shown
}

#[expect(
    clippy::disallowed_methods,
    reason = "when queries are checked, the view is not there"
)]
async fn name_in_view(app: &TestApp, merge_id: &str) -> String {
    sqlx::query_scalar("SELECT first_name FROM syncline_hris.employees WHERE merge_id = $1")
        .bind(merge_id)
        .fetch_one(app.pool())
        .await
        .unwrap()
}

/// The feed from a place on.
async fn feed(app: &TestApp, after: &Value) -> Value {
    app.get(&format!("/api/merge/events?after={after}&limit=1000"))
        .await
        .expect(200)
}

#[tokio::test]
async fn a_record_can_be_followed_from_the_webhook_to_the_view_and_the_feed() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await.to_string();
    printed(&app, &["migrate"]).await;
    let before = feed(&app, &json!(0)).await["next"].clone();
    let at_merge = app.merge().accounts().remove(0).id;
    let truth = app
        .merge()
        .truth_page(at_merge, "hris.Employee", None, 1, false);
    let key = truth.unwrap().records.remove(0).key;
    let fields = [("first_name".to_owned(), json!("Ada"))].into();
    let changed = app
        .merge()
        .change_record(at_merge, "hris.Employee", &key, fields)
        .unwrap();
    let finished =
        (changed.modified_at + Duration::from_secs(1)).to_rfc3339_opts(SecondsFormat::Micros, true);

    // The webhook, and what it led to.
    let body = json!({
        "hook": { "event": "LinkedAccount.sync_completed" },
        "linked_account": { "id": at_merge, "category": "hris" },
        "data": { "is_initial_sync": false, "sync_status": {
            "hris.Employee": { "last_sync_finished": finished, "last_sync_result": "DONE" },
        } },
    })
    .to_string();
    let call = Call::post("/api/webhooks/merge")
        .bytes(body.as_bytes())
        .header(HEADER, &sign(WEBHOOK_SECRET, body.as_bytes()));
    app.call(call).await.expect(200);
    app.run_due_jobs().await;
    let webhooks = printed(&app, &["webhooks", "list", "--json"]).await;
    let webhooks: Value = serde_json::from_str(&webhooks).unwrap();
    assert_eq!(webhooks[0]["event"], "LinkedAccount.sync_completed");
    assert_eq!(webhooks[0]["verdict"], "processed");

    // Mark, window and watermark.
    let chain = printed(&app, &["accounts", "verify", "--account", &account]).await;
    let window = chain.lines().find(|line| line.contains("  next  "));
    let window = window.unwrap_or_else(|| panic!("{chain}"));
    assert!(window.contains(&format!("mark {finished}")), "{window}");

    // The record, in all its forms.
    assert_eq!(name_in_view(&app, &key).await, "Ada");
    let records = format!("/api/merge/records/hris.Employee?linked_account_id={account}");
    let records = app.get(&records).await.expect(200)["records"].clone();
    let newest = records.as_array().unwrap().last().unwrap();
    assert_eq!(newest["id"], key.as_str());
    assert_eq!(newest["data"]["first_name"], "Ada");

    // And the news of it, before that of its window.
    let events = feed(&app, &before).await["events"].clone();
    let types: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["record.updated", "model.synced"], "{events}");
    assert_eq!(events[0]["record_id"], key.as_str(), "{events}");
}
