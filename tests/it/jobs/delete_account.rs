//! Deleting.

use std::time::Duration;

use jobs::delete_account::DeleteAccount;
use jobs::fetch_model_window::FetchModelWindow;
use jobs::poll_sync_status::PollSyncStatus;
use merge_sandbox::FaultKind;
use queue::JobState;
use serde_json::json;
use store::AccountId;
use store::linked_accounts::AccountStatus;

use super::workshop::{Account, Workshop};

/// Rows that speak of an account, over the tables of the domain.
async fn count_rows(workshop: &Workshop, account: &Account) -> i64 {
    sqlx::query_scalar!(
        r#"
        SELECT (SELECT count(*) FROM syncline.linked_accounts WHERE id = $1)
            + (SELECT count(*) FROM syncline.model_syncs WHERE account_id = $1)
            + (SELECT count(*) FROM syncline.model_records WHERE account_id = $1)
            + (SELECT count(*) FROM syncline.fetch_windows WHERE account_id = $1)
            + (SELECT count(*) FROM syncline.window_sightings WHERE account_id = $1)
            + (SELECT count(*) FROM syncline.webhook_deliveries WHERE account_id = $1) AS "n!"
        "#,
        account.id as AccountId
    )
    .fetch_one(workshop.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn nothing_is_left_here_or_at_merge() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let other = workshop.synced("other").await;
    workshop
        .deliver(&json!({
            "hook": { "event": "Employee.synced" },
            "linked_account": { "id": account.merge_id },
            "data": { "sync_status": "DONE" },
        }))
        .await;
    let others = count_rows(&workshop, &other).await;

    let job = workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(job.result.unwrap()["records"], 50);
    assert_eq!(count_rows(&workshop, &account).await, 0);
    assert_eq!(count_rows(&workshop, &other).await, others);
    assert!(workshop.sandbox.account(account.merge_id).is_err());
}

#[tokio::test]
async fn deleting_again_is_harmless() {
    let workshop = Workshop::new().await;
    let account = workshop.linked("acme").await;
    workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    let again = workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    assert_eq!(again.state, JobState::Completed);
    assert_eq!(again.result, Some(json!({ "was_there": false })));
}

#[tokio::test]
async fn an_account_gone_at_merge_is_removed_here() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.break_list(
        "delete-account",
        1,
        FaultKind::Status {
            status: 404,
            retry_after: None,
        },
    );

    let job = workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    assert_eq!(job.state, JobState::Completed);
    assert_eq!(count_rows(&workshop, &account).await, 0);
}

#[tokio::test]
async fn an_account_stays_marked_until_merge_has_deleted_it() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.break_list(
        "delete-account",
        1000,
        FaultKind::Status {
            status: 403,
            retry_after: None,
        },
    );

    let job = workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;
    assert_eq!(job.attempts[0].error_class, "forbidden");
    assert_eq!(
        workshop.account(account.id).await.status,
        AccountStatus::Deleting
    );
    let poll = workshop.poll(&account).await;
    assert_eq!(poll.error_class.as_deref(), Some("account_not_found"));

    workshop.sandbox.clear_faults();
    workshop.advance(Duration::from_hours(1)).await;
    workshop.run().await;
    assert_eq!(workshop.job(job.id).await.state, JobState::Completed);
    assert_eq!(count_rows(&workshop, &account).await, 0);
}

#[tokio::test]
async fn an_account_that_was_never_linked_is_removed_without_asking_merge() {
    let workshop = Workshop::new().await;
    let (begun, _) = workshop.begin_link("acme", "hris").await;
    let id = begun.result.unwrap()["linked_account_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let requests = workshop.sandbox.state().requests;

    let job = workshop.perform(&DeleteAccount { account_id: id }).await;

    assert_eq!(job.state, JobState::Completed);
    assert_eq!(workshop.sandbox.state().requests, requests);
}

#[tokio::test]
async fn jobs_of_a_deleted_account_give_up() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    let poll = workshop
        .perform(&PollSyncStatus {
            account_id: account.id,
        })
        .await;
    let fetch = FetchModelWindow {
        account_id: account.id,
        model_id: "hris.Team".to_owned(),
    };
    let fetch = workshop.perform(&fetch).await;

    for job in [poll, fetch] {
        assert_eq!(job.state, JobState::Cancelled);
        assert_eq!(job.error_class.as_deref(), Some("account_not_found"));
    }
}
