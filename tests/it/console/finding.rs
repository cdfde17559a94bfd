//! Jobs found by what they hold.

use crate::support::TestApp;

#[tokio::test]
async fn jobs_are_found_by_what_their_payload_holds() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let (one, other) = (app.waiting_job().await, app.waiting_job().await);
    let shown = app.get(&format!("/api/ops/jobs/{one}")).await.expect(200);
    let account = shown["payload"]["account_id"].as_str().unwrap();
    let query = format!("kind=poll_sync_status&payload=account_id%3D{account}");

    let page = viewer.get(&format!("jobs?{query}")).await.page();
    let list = app.get(&format!("/api/ops/jobs?{query}")).await.expect(200);

    assert!(page.contains(&format!("jobs/{one}")), "{page}");
    assert!(!page.contains(&format!("jobs/{other}")), "{page}");
    let found = list["jobs"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{list}");
    assert_eq!(found[0]["id"], one.to_string());
    let refused = app.get("/api/ops/jobs?payload=%3Dx").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        refused.text("detail").contains("account_id=7"),
        "{refused:?}"
    );
}
