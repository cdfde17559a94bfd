//! Windows that no new finish asks for.

use std::time::Duration;

use merge_sandbox::FaultKind;
use serde_json::json;

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop, plan};
use crate::support::TestApp;

const MODEL: &str = "hris.Employee";

/// Extents of the windows that were closed, in their order.
async fn extents(workshop: &Workshop, account: &Account) -> Vec<String> {
    sqlx::query_scalar!(
        r#"
        SELECT extent
        FROM syncline.fetch_windows
        WHERE account_id = $1
          AND model_id = $2
          AND finished_at IS NOT NULL
        ORDER BY id
        "#,
        account.id as store::AccountId,
        MODEL
    )
    .fetch_all(workshop.pool())
    .await
    .unwrap()
}

/// Lets a day pass since the last window.
async fn let_a_day_pass(workshop: &Workshop) {
    sqlx::query!(
        "UPDATE syncline.model_syncs SET last_fetched_at = last_fetched_at - interval '1 day'"
    )
    .execute(workshop.pool())
    .await
    .unwrap();
}

fn change_one(workshop: &Workshop, account: &Account) {
    let truth = workshop
        .sandbox
        .truth_page(account.merge_id, MODEL, None, 1, false)
        .unwrap();
    let fields = [(
        "first_name".to_owned(),
        json!("Changed after the last sync"),
    )]
    .into();
    workshop
        .sandbox
        .change_record(account.merge_id, MODEL, &truth.records[0].key, fields)
        .unwrap();
}

#[tokio::test]
async fn the_tail_that_no_finish_covers_is_swept_daily_and_moves_no_watermark() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 25)])).await;
    let account = workshop.synced("acme").await;
    let before = workshop.model(account.id, MODEL).await;
    // Merge pauses the model: no finish comes any more.
    workshop
        .sandbox
        .set_outcome(account.merge_id, MODEL, merge_sandbox::Outcome::Paused)
        .unwrap();
    change_one(&workshop, &account);
    workshop.sandbox.advance(SYNC);

    workshop.poll(&account).await;
    assert_eq!(extents(&workshop, &account).await, ["first"]);
    let_a_day_pass(&workshop).await;
    workshop.poll(&account).await;
    workshop.poll(&account).await;

    assert_eq!(
        extents(&workshop, &account).await,
        ["first", "sweep"],
        "once a day"
    );
    workshop.assert_equal_to_truth(&account).await;
    let after = workshop.model(account.id, MODEL).await;
    assert_eq!(after.fetched_through, before.fetched_through);
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn a_sweep_that_failed_is_wanted_until_it_is_done() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 25)])).await;
    let account = workshop.synced("acme").await;
    let_a_day_pass(&workshop).await;
    let kind = FaultKind::Status {
        status: 400,
        retry_after: None,
    };
    workshop.break_list("employees", 1, kind);

    // Its job is cancelled; the next poll finds that it is wanted still.
    workshop.poll(&account).await;
    assert_eq!(extents(&workshop, &account).await, ["first"]);
    workshop.poll(&account).await;

    assert_eq!(extents(&workshop, &account).await, ["first", "sweep"]);
}

#[tokio::test]
async fn a_mark_that_comes_in_while_a_sweep_is_wanted_is_closed_first() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 25)])).await;
    let account = workshop.synced("acme").await;
    let_a_day_pass(&workshop).await;
    workshop.sandbox.advance(NEXT_SYNC);
    change_one(&workshop, &account);

    workshop.poll(&account).await;

    assert_eq!(
        extents(&workshop, &account).await,
        ["first", "next", "sweep"]
    );
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn an_open_sweep_is_resumed_as_one() {
    let workshop = Workshop::with(|options, settings| {
        options.plan = plan(&[(MODEL, 25)]);
        settings.turn = Duration::ZERO;
    })
    .await;
    let account = workshop.synced("acme").await;
    for _ in 0..15 {
        workshop
            .sandbox
            .create_record(account.merge_id, MODEL, [].into())
            .unwrap();
    }
    workshop.sandbox.advance(Duration::from_secs(1));
    let_a_day_pass(&workshop).await;

    // Two pages, each in a turn of its own.
    workshop.poll(&account).await;

    assert_eq!(extents(&workshop, &account).await, ["first", "sweep"]);
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn how_long_the_tail_may_wait_is_a_setting() {
    let app = TestApp::with_settings(&[("SYNCLINE__SYNC__SWEEP_INTERVAL", "1h")]).await;
    let account_id = app.synced_account("org_1", "hris").await;
    let sweeps = async || {
        sqlx::query_scalar!(
            r#"
            SELECT count(*) AS "sweeps!"
            FROM syncline.fetch_windows
            WHERE extent = 'sweep'
              AND finished_at IS NOT NULL
            "#
        )
        .fetch_one(app.pool())
        .await
        .unwrap()
    };

    for (minutes, are_swept) in [(50, false), (20, true)] {
        sqlx::query!(
            "UPDATE syncline.model_syncs SET last_fetched_at = last_fetched_at - make_interval(mins => $1)",
            minutes
        )
        .execute(app.pool())
        .await
        .unwrap();
        app.enqueue(&jobs::poll_sync_status::PollSyncStatus { account_id })
            .await;
        app.run_due_jobs().await;
        assert_eq!(sweeps().await > 0, are_swept, "{minutes}");
    }
}
