//! Bulk actions, as their job does them.

use queue::admin::bulk_actions::{self, BulkId, State};
use queue::admin::{Action, Bulk, Filter, Request};
use queue::{Client, NewJob};

use jobs::run_bulk_action::RunBulkAction;

use crate::support::TestApp;

async fn started(app: &TestApp, action: Action) -> BulkId {
    let client = Client::new(app.pool().clone());
    let request = Request {
        by: "anna".to_owned(),
        reason: "mended".to_owned(),
    };
    let confirmation = Bulk::prepare(&client, Filter::default(), action, request)
        .await
        .unwrap();
    let mut tx = app.pool().begin().await.unwrap();
    let id = bulk_actions::keep(&mut tx, &confirmation).await.unwrap();
    let job = NewJob::new(&RunBulkAction { bulk_action_id: id }).unwrap();
    let job = queue::enqueue(&mut tx, &job).await.unwrap().id;
    assert!(bulk_actions::start(&mut tx, id, job).await.unwrap());
    tx.commit().await.unwrap();
    id
}

async fn standing(app: &TestApp, id: BulkId) -> (State, u64) {
    let mut conn = app.pool().acquire().await.unwrap();
    let action = bulk_actions::find(&mut conn, id).await.unwrap().unwrap();
    (action.state, action.progress.done)
}

#[tokio::test]
async fn more_than_one_batch_is_done_once() {
    let app = TestApp::new().await;
    app.dead_jobs(1_200, "of this").await;
    let id = started(&app, Action::Delete).await;

    app.run_due_jobs().await;

    assert_eq!(standing(&app, id).await, (State::Done, 1_200));
    // Run again, as after a crash right behind its last commit, it does nothing.
    app.enqueue(&RunBulkAction { bulk_action_id: id }).await;
    app.dead_jobs(3, "of this").await;
    app.run_due_jobs().await;
    assert_eq!(standing(&app, id).await, (State::Done, 1_200));
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.dead_jobs"#);
    assert_eq!(left.fetch_one(app.pool()).await.unwrap(), 3);
}

#[tokio::test]
async fn it_does_not_cancel_itself() {
    let app = TestApp::new().await;
    app.waiting_job().await;
    let id = started(&app, Action::Cancel).await;

    app.run_due_jobs().await;

    assert_eq!(standing(&app, id).await, (State::Done, 1));
    assert!(app.pending("poll_sync_status").await.is_empty());
}
