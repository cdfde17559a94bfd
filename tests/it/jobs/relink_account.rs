//! Signing in again.

use jobs::relink_account::RelinkAccount;
use jobs::reply::ReplyKey;
use queue::JobState;
use store::AccountId;
use store::linked_accounts::AccountStatus;

use super::workshop::Workshop;

#[tokio::test]
async fn a_relink_keeps_everything_and_makes_the_account_active_again() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = workshop.account(account.id).await;
    sqlx::query!("UPDATE syncline.linked_accounts SET status = 'relink_needed'")
        .execute(workshop.pool())
        .await
        .unwrap();
    workshop
        .sandbox
        .set_status(account.merge_id, "RELINK_NEEDED")
        .unwrap();

    let (key, reply_key) = ReplyKey::generate();
    let job = workshop
        .perform(&RelinkAccount {
            account_id: account.id,
            reply_key,
        })
        .await;
    let link_token = workshop.read_link_token(&job, &key).await;
    let completed = workshop.finish_link(&link_token);
    let exchanged = workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(exchanged.state, JobState::Completed, "{exchanged:?}");
    let after = workshop.account(account.id).await;
    assert_eq!(after.status, AccountStatus::Active);
    assert_eq!(after.merge_account_id, before.merge_account_id);
    assert_eq!(after.end_user_origin_id, before.end_user_origin_id);
    assert_eq!(
        after.initial_sync_completed_at,
        before.initial_sync_completed_at
    );
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_not_found() {
    let workshop = Workshop::new().await;
    let (_, reply_key) = ReplyKey::generate();

    let job = workshop
        .perform(&RelinkAccount {
            account_id: AccountId::new(),
            reply_key,
        })
        .await;

    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(job.error_class.as_deref(), Some("account_not_found"));
}
