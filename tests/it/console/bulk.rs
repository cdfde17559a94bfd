//! One action on all that match: counted, confirmed as counted, done by a job, stopped.

use crate::support::TestApp;
use crate::support::visitor::Visitor;

async fn prepared(admin: &Visitor<'_>, filter: &str, action: &str) -> String {
    let fields = [("filter", filter), ("action", action), ("reason", "mended")];
    let answer = admin.post("bulk", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.page());
    answer
        .header("location")
        .unwrap()
        .trim_start_matches("./")
        .to_owned()
}

async fn count_dead(app: &TestApp) -> i64 {
    sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.dead_jobs"#)
        .fetch_one(app.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_done_is_what_was_counted() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    app.dead_jobs(600, "of this").await;
    app.dead_job("of another thing").await;
    let page = prepared(&admin, "state=dead&error=of+this", "delete").await;

    let shown = admin.get(&page).await.page();
    assert!(shown.contains("600 jobs match just now"), "{shown}");
    assert_eq!(count_dead(&app).await, 601, "nothing was done yet");
    // What dies after the count is not meant.
    app.dead_jobs(5, "of this").await;
    let begun = admin.follow(&format!("{page}/start"), &[]).await;
    app.run_due_jobs().await;
    let ended = admin.get(&page).await.page();

    assert!(begun.contains("It has begun."), "{begun}");
    assert!(ended.contains("It is done"), "{ended}");
    assert_eq!(count_dead(&app).await, 6);
    let again = admin.post(&format!("{page}/start"), &[]).await;
    assert_eq!(again.status, 409);
    let entry = admin.get("audit").await.page();
    assert!(
        entry.contains("bulk.delete") && entry.contains("&#34;count&#34;:600"),
        "{entry}"
    );
}

#[tokio::test]
async fn many_have_to_be_typed() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    app.dead_jobs(1_001, "of this").await;
    let page = prepared(&admin, "state=dead", "delete").await;
    let start = format!("{page}/start");

    for typed in [
        &[][..],
        &[("typed", "")],
        &[("typed", "1000")],
        &[("typed", "yes")],
    ] {
        let refused = admin.post(&start, typed).await;
        assert_eq!(refused.status, 409, "{typed:?}");
        assert!(
            refused.page().contains("type 1001 to confirm"),
            "{}",
            refused.page()
        );
    }
    assert!(app.pending("run_bulk_action").await.is_empty());
    let begun = admin.post(&start, &[("typed", "1,001")]).await;
    app.run_due_jobs().await;

    assert_eq!(begun.status, 303);
    assert_eq!(count_dead(&app).await, 0);
}

#[tokio::test]
async fn what_is_stopped_before_it_began_does_nothing() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    app.dead_jobs(3, "of this").await;
    let page = prepared(&admin, "state=dead", "retry").await;

    admin.follow(&format!("{page}/start"), &[]).await;
    let asked = admin.follow(&format!("{page}/stop"), &[]).await;
    app.run_due_jobs().await;
    let stopped = admin.get(&page).await.page();

    assert!(asked.contains("asked it to stop"), "{asked}");
    assert!(stopped.contains("What was done stays done."), "{stopped}");
    assert_eq!(count_dead(&app).await, 3);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    for (filter, action, reason) in [
        ("state=nonsense", "retry", "r"),
        ("state=dead", "explode", "r"),
        ("state=dead", "retry", " "),
        ("state=dead", "cancel", "r"),
        ("from=never", "retry", "r"),
    ] {
        let fields = [("filter", filter), ("action", action), ("reason", reason)];
        let answer = admin.post("bulk", &fields).await;
        assert_eq!(answer.status, 422, "{filter} {action}");
    }
}
