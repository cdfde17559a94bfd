//! How an account is, by Merge's word and by its refusals.

use std::time::Duration;

use jobs::check_health::CheckHealth;
use jobs::check_key::CheckKey;
use jobs::enqueue_due_checks::EnqueueDueChecks;
use merge_sandbox::{Fault, FaultKind};
use queue::{JobState, JobView};
use store::linked_accounts::AccountStatus;

use super::workshop::{Account, NEXT_SYNC, Workshop};

async fn check(workshop: &Workshop, account: &Account, is_told_deleted: bool) -> JobView {
    workshop
        .perform(&CheckHealth {
            account_id: account.id,
            is_told_deleted,
        })
        .await
}

fn refuse(workshop: &Workshop, path_prefix: &str, status: u16, times: u32) {
    workshop.sandbox.add_fault(Fault {
        path_prefix: path_prefix.to_owned(),
        account_token: None,
        times,
        kind: FaultKind::Status {
            status,
            retry_after: None,
        },
    });
}

/// The types of the events about accounts, in their order.
async fn told(workshop: &Workshop) -> Vec<String> {
    sqlx::query_scalar!("SELECT type FROM syncline.events WHERE type LIKE 'account.%' ORDER BY id")
        .fetch_all(workshop.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_account_to_be_linked_again_is_found_told_and_found_well_again() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;

    workshop
        .sandbox
        .set_status(account.merge_id, "RELINK_NEEDED")
        .unwrap();
    check(&workshop, &account, false).await;
    check(&workshop, &account, false).await;

    let stored = workshop.account(account.id).await;
    assert_eq!(stored.status, AccountStatus::RelinkNeeded);
    assert_eq!(stored.merge_status.as_deref(), Some("RELINK_NEEDED"));
    // What Merge has can be read all the while; that proves nothing.
    workshop.poll(&account).await;
    let polled = workshop.account(account.id).await;
    assert_eq!(polled.status, AccountStatus::RelinkNeeded);

    workshop
        .sandbox
        .set_status(account.merge_id, "COMPLETE")
        .unwrap();
    check(&workshop, &account, false).await;

    let stored = workshop.account(account.id).await;
    assert_eq!(stored.status, AccountStatus::Active);
    assert_eq!(stored.last_error, None);
    let expected = [
        "account.linked",
        "account.initial_sync_completed",
        "account.relink_needed",
        "account.linked",
    ];
    assert_eq!(told(&workshop).await, expected);
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_kept_and_changes_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop
        .sandbox
        .set_status(account.merge_id, "A_NEW_WORD")
        .unwrap();

    check(&workshop, &account, false).await;

    let stored = workshop.account(account.id).await;
    assert_eq!(stored.status, AccountStatus::Active);
    assert_eq!(stored.merge_status.as_deref(), Some("A_NEW_WORD"));
}

#[tokio::test]
async fn repeated_refusals_mean_that_the_customer_has_to_link_again() {
    for status in [401, 403] {
        let workshop = Workshop::new().await;
        let account = workshop.synced("acme").await;
        refuse(&workshop, "/api/hris/v1/", status, 3);

        workshop.poll(&account).await;
        check(&workshop, &account, false).await;
        let stored = workshop.account(account.id).await;
        assert_eq!(stored.status, AccountStatus::Error, "it may be an accident");
        workshop.poll(&account).await;

        let stored = workshop.account(account.id).await;
        assert_eq!(stored.status, AccountStatus::RelinkNeeded);
        // A refusal in a row with others, then a good answer: all is well.
        workshop.poll(&account).await;
        let stored = workshop.account(account.id).await;
        assert_eq!(stored.status, AccountStatus::Active);
        let expected = ["account.relink_needed", "account.linked"];
        assert_eq!(told(&workshop).await[2..], expected);
    }
}

#[tokio::test]
async fn a_key_that_merge_refuses_stops_all_calls_and_marks_nobody() {
    let workshop = Workshop::new().await;
    let accounts = [
        workshop.synced("acme").await,
        workshop.synced("other").await,
    ];
    workshop.sandbox.advance(NEXT_SYNC);
    refuse(&workshop, "/", 401, 1_000);
    let requests = workshop.sandbox.state().requests;

    for account in &accounts {
        workshop.poll(account).await;
        check(&workshop, account, false).await;
    }

    assert_eq!(
        workshop.sandbox.state().requests - requests,
        2,
        "one refused, and one to see whose fault it is"
    );
    for account in &accounts {
        let stored = workshop.account(account.id).await;
        assert_eq!(
            (stored.status, stored.last_error),
            (AccountStatus::Active, None)
        );
    }

    // It is still refused: the tick says so and asks no account.
    let tick = workshop.perform(&CheckKey {}).await;
    assert_eq!(tick.result.unwrap()["is_refused"], true);
    assert_eq!(workshop.sandbox.state().requests - requests, 3);

    workshop.sandbox.clear_faults();
    let tick = workshop.perform(&CheckKey {}).await;
    assert_eq!(tick.result.unwrap()["is_refused"], false);
    workshop.advance(Duration::from_secs(2)).await;
    workshop.run().await;
    assert!(workshop.pending("poll_sync_status").await.is_empty());
    assert!(workshop.pending("check_health").await.is_empty());
    for account in &accounts {
        let polled = workshop.account(account.id).await.last_polled_at;
        let linked = workshop.account(account.id).await.initial_sync_completed_at;
        assert!(polled > linked, "polled again");
    }
}

#[tokio::test]
async fn a_pause_by_a_person_is_left_alone() {
    let workshop = Workshop::new().await;
    let scope = queue::pause::Scope::Queue(queue::Queue::SYNC);
    queue::pause::pause(&workshop.context.queue, &scope, "Ada", "maintenance", None)
        .await
        .unwrap();

    workshop.perform(&CheckKey {}).await;

    let pauses = queue::pause::list(workshop.pool()).await.unwrap();
    assert_eq!(pauses[0].paused_by, "Ada");
}

#[tokio::test]
async fn an_account_that_merge_says_it_deleted_is_deleted_once_merge_does_not_know_it() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;

    // The word alone is no proof.
    let job = check(&workshop, &account, true).await;
    assert_eq!(job.result.unwrap()["status"], "active");

    workshop.sandbox.delete_account(account.merge_id).unwrap();
    // Nor is it when nobody told.
    check(&workshop, &account, false).await;
    let stored = workshop.account(account.id).await;
    assert_eq!(stored.status, AccountStatus::Error);

    let job = check(&workshop, &account, true).await;
    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(told(&workshop).await, ["account.deleted"]);
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.linked_accounts"#);
    assert_eq!(left.fetch_one(workshop.pool()).await.unwrap(), 0);
}

#[tokio::test]
async fn each_account_is_checked_when_its_time_has_come() {
    let workshop = Workshop::new().await;
    workshop.synced("acme").await;
    workshop.synced("other").await;
    workshop.begin_link("third", "hris").await;

    let first = workshop.perform(&EnqueueDueChecks {}).await;
    let second = workshop.perform(&EnqueueDueChecks {}).await;

    assert_eq!(first.result.unwrap()["enqueued"], 2);
    assert_eq!(second.result.unwrap()["enqueued"], 0);
}
