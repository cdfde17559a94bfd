//! Reading how far Merge is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::fetch_model_window::FetchModelWindow;
use merge_sandbox::{FaultKind, Outcome};
use queue::JobState;
use store::linked_accounts::AccountStatus;

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop, plan};

#[tokio::test]
async fn nothing_is_fetched_while_merge_is_at_its_first_sync() {
    let workshop = Workshop::new().await;

    let account = workshop.linked("acme").await;

    assert!(
        workshop
            .models(account.id)
            .await
            .iter()
            .all(|model| model.fetched_through.is_none())
    );
    let stored = workshop.account(account.id).await;
    assert_eq!(stored.initial_sync_completed_at, None);
    assert!(stored.next_poll_at.is_some());
}

#[tokio::test]
async fn the_first_sync_is_stored_once_it_is_done() {
    let workshop = Workshop::new().await;
    let account = workshop.linked("acme").await;

    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;

    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
    assert!(
        workshop
            .account(account.id)
            .await
            .initial_sync_completed_at
            .is_some()
    );
    let models = workshop.models(account.id).await;
    assert_eq!(models.iter().map(|model| model.records).sum::<i64>(), 50);
}

#[tokio::test]
async fn later_syncs_are_stored_window_by_window() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;

    for _ in 0..5 {
        workshop.sandbox.advance(NEXT_SYNC);
        workshop.poll(&account).await;
    }
    // What changed after the last finish comes with the next: stop changes, and let one more sync end.
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;

    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn a_first_sync_in_part_is_not_loaded_and_holds_up_no_other_model() {
    let workshop = Workshop::with(|options, _| {
        options
            .plan
            .outcomes
            .insert("hris.Team".to_owned(), Outcome::PartiallySynced);
    })
    .await;
    let account = workshop.linked("acme").await;

    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;

    assert_eq!(
        workshop.model(account.id, "hris.Employee").await.records,
        45
    );
    assert_eq!(
        workshop
            .model(account.id, "hris.Team")
            .await
            .fetched_through,
        None
    );
    assert_eq!(
        workshop.account(account.id).await.initial_sync_completed_at,
        None
    );

    workshop
        .sandbox
        .set_outcome(account.merge_id, "hris.Team", Outcome::Done)
        .unwrap();
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;
    assert!(
        workshop
            .account(account.id)
            .await
            .initial_sync_completed_at
            .is_some()
    );
}

#[tokio::test]
async fn a_first_sync_in_part_is_loaded_if_the_setting_says_so() {
    let workshop = Workshop::with(|options, settings| {
        options
            .plan
            .outcomes
            .insert("hris.Team".to_owned(), Outcome::PartiallySynced);
        settings.accept_partial_first_sync = true;
    })
    .await;

    workshop.synced("acme").await;
}

#[tokio::test]
async fn a_disabled_model_is_not_waited_for() {
    let workshop = Workshop::with(|options, _| {
        options
            .plan
            .outcomes
            .insert("hris.Team".to_owned(), Outcome::Disabled);
    })
    .await;

    let account = workshop.synced("acme").await;

    let team = workshop.model(account.id, "hris.Team").await;
    assert_eq!(team.status.as_deref(), Some("DISABLED"));
    assert_eq!(team.fetched_through, None);
}

#[tokio::test]
async fn a_model_enabled_later_gets_its_first_load_then() {
    let workshop = Workshop::with(|options, _| {
        options
            .plan
            .outcomes
            .insert("hris.Team".to_owned(), Outcome::Disabled);
    })
    .await;
    let account = workshop.synced("acme").await;

    workshop
        .sandbox
        .set_outcome(account.merge_id, "hris.Team", Outcome::Done)
        .unwrap();
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;

    // How many there are by then is the sandbox's to say: it adds and deletes between two syncs.
    assert!(workshop.model(account.id, "hris.Team").await.records > 0);
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn a_failed_sync_moves_nothing_and_the_next_good_one_covers_it() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = workshop.model(account.id, "hris.Employee").await;

    workshop
        .sandbox
        .set_outcome(account.merge_id, "hris.Employee", Outcome::Failed)
        .unwrap();
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;
    let failed = workshop.model(account.id, "hris.Employee").await;
    assert_eq!(failed.status.as_deref(), Some("FAILED"));
    assert_eq!(failed.fetched_through, before.fetched_through);

    workshop
        .sandbox
        .set_outcome(account.merge_id, "hris.Employee", Outcome::Done)
        .unwrap();
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;
    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn a_refused_account_is_marked_polled_slowly_and_recovers() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.break_list(
        "sync-status",
        1,
        FaultKind::Status {
            status: 401,
            retry_after: None,
        },
    );

    let refused = workshop.poll(&account).await;

    assert_eq!(refused.state, JobState::Cancelled);
    assert_eq!(refused.error_class.as_deref(), Some("unauthorized"));
    let marked = workshop.account(account.id).await;
    assert_eq!(marked.status, AccountStatus::Error);
    assert_eq!(
        marked.last_error.as_deref(),
        Some("Merge refuses the credentials")
    );

    workshop.poll(&account).await;
    let recovered = workshop.account(account.id).await;
    assert_eq!(
        (recovered.status, recovered.last_error),
        (AccountStatus::Active, None)
    );
}

#[tokio::test]
async fn a_server_fault_is_retried_and_marks_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.break_list("sync-status", 1, FaultKind::Html { status: 502 });

    let failed = workshop.poll(&account).await;

    assert_eq!(failed.attempts[0].error_class, "server");
    assert_eq!(
        workshop.account(account.id).await.status,
        AccountStatus::Active
    );
    workshop.advance(Duration::from_mins(1)).await;
    workshop.run().await;
    assert_eq!(workshop.job(failed.id).await.state, JobState::Completed);
}

#[tokio::test]
async fn polling_twice_enqueues_no_fetch_twice() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[("hris.Team", 5)])).await;
    let account = workshop.linked("acme").await;
    workshop.sandbox.advance(SYNC);
    let waiting = FetchModelWindow {
        account_id: account.id,
        model_id: "hris.Team".to_owned(),
    };
    let first = workshop.enqueue(&waiting).await;

    let second = workshop.enqueue(&waiting).await;

    assert_eq!(first, second);
    workshop.poll(&account).await;
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn while_the_next_sync_runs_the_last_good_finish_counts() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.advance(NEXT_SYNC);
    let finished = finish(&workshop, &account);

    workshop.sandbox.start_sync(account.merge_id).unwrap();
    workshop.poll(&account).await;

    let model = workshop.model(account.id, "hris.Employee").await;
    assert_eq!(model.status.as_deref(), Some("SYNCING"));
    assert_eq!(model.fetched_through, finished);
}

#[tokio::test]
async fn a_paused_model_is_read_up_to_its_last_good_finish() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.advance(NEXT_SYNC);
    let finished = finish(&workshop, &account);

    workshop
        .sandbox
        .set_outcome(account.merge_id, "hris.Employee", Outcome::Paused)
        .unwrap();
    workshop.poll(&account).await;
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;

    let model = workshop.model(account.id, "hris.Employee").await;
    assert_eq!(model.status.as_deref(), Some("PAUSED"));
    assert_eq!(model.fetched_through, finished);
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn a_finish_that_goes_back_moves_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let first = finish(&workshop, &account);
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;
    let before = workshop.model(account.id, "hris.Employee").await;

    let told = serde_json::json!({
        "hook": { "event": "LinkedAccount.sync_completed" },
        "linked_account": { "id": account.merge_id, "category": "hris" },
        "data": { "is_initial_sync": false, "sync_status": {
            "hris.Employee": { "last_sync_finished": first, "last_sync_result": "DONE" },
        } },
    });
    workshop.deliver(&told).await;

    let after = workshop.model(account.id, "hris.Employee").await;
    assert!(first < before.fetched_through);
    assert_eq!(after.available_through, before.available_through);
    assert_eq!(after.fetched_through, before.fetched_through);
}

/// When Merge's last good sync of the employees ended.
fn finish(workshop: &Workshop, account: &Account) -> Option<DateTime<Utc>> {
    let models = workshop.sandbox.account(account.merge_id).unwrap().models;
    let mut models = models.into_iter();
    models
        .find(|model| model.model_id == "hris.Employee")
        .unwrap()
        .last_sync_finished
}
