//! Beginning to link.

use jobs::Connections;
use jobs::reply::ReplyKey;
use merge_sandbox::{Fault, FaultKind};
use queue::JobState;
use store::linked_accounts::AccountStatus;

use super::workshop::{Workshop, link_request};

fn id_of(job: &queue::JobView) -> String {
    job.result.as_ref().unwrap()["linked_account_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_retry_gets_a_fresh_token_for_the_same_pending_account() {
    let workshop = Workshop::new().await;

    let (first, first_token) = workshop.begin_link("acme", "hris").await;
    let (second, second_token) = workshop.begin_link("acme", "hris").await;

    assert_eq!(first.result, second.result);
    assert_ne!(first_token, second_token);
    let account = workshop.account(id_of(&first).parse().unwrap()).await;
    assert_eq!(account.status, AccountStatus::Pending);
    assert!(account.end_user_origin_id.starts_with("acme_hris_"));
}

#[tokio::test]
async fn a_linked_account_gets_another_beside_it() {
    let workshop = Workshop::new().await;
    let linked = workshop.linked("acme").await;

    let (job, _) = workshop.begin_link("acme", "hris").await;

    assert_ne!(id_of(&job), linked.id.to_string());
    assert_eq!(
        workshop.account(linked.id).await.status,
        AccountStatus::Active
    );
}

#[tokio::test]
async fn a_person_gets_a_connection_named_after_them() {
    let workshop = Workshop::new().await;
    let (_, reply_key) = ReplyKey::generate();
    let mut request = link_request("acme", "hris");
    request.user_id = Some("u-7");

    let done = workshop
        .perform(&workshop.prepare(request, reply_key).await)
        .await;

    let origin_id = done.result.unwrap()["end_user_origin_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(origin_id.starts_with("u-7_hris_"), "{origin_id}");
}

#[tokio::test]
async fn the_account_is_stored_even_if_merge_fails() {
    let workshop = Workshop::new().await;
    workshop.sandbox.add_fault(Fault {
        path_prefix: "/api/integrations/create-link-token".to_owned(),
        account_token: None,
        times: 1,
        kind: FaultKind::Html { status: 502 },
    });
    let (key, reply_key) = ReplyKey::generate();

    let failed = workshop
        .perform(
            &workshop
                .prepare(link_request("acme", "hris"), reply_key)
                .await,
        )
        .await;
    assert_eq!(failed.attempts[0].http_status, Some(502));
    let pending = sqlx::query_scalar!("SELECT id FROM syncline.linked_accounts")
        .fetch_one(workshop.pool())
        .await
        .unwrap();

    workshop.advance(std::time::Duration::from_mins(1)).await;
    workshop.run().await;
    let done = workshop.job(failed.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 2));
    assert_eq!(id_of(&done), pending.to_string());
    assert!(!workshop.read_link_token(&done, &key).await.is_empty());
}

#[tokio::test]
async fn what_merge_rejects_is_not_tried_again() {
    let workshop = Workshop::new().await;
    let (_, reply_key) = ReplyKey::generate();
    let mut request = link_request("acme", "hris");
    request.integration = Some("no-such-integration");

    let done = workshop
        .perform(&workshop.prepare(request, reply_key).await)
        .await;

    assert_eq!(done.state, JobState::Cancelled);
    assert_eq!(done.error_class.as_deref(), Some("merge_rejected"));
}

#[tokio::test]
async fn an_account_that_is_linked_before_its_job_runs_gets_another_beside_it() {
    let workshop = Workshop::new().await;
    let (key, reply_key) = ReplyKey::generate();
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let late = workshop
        .prepare(link_request("acme", "hris"), reply_key)
        .await;
    let completed = workshop.finish_link(&link_token);
    workshop.exchange("acme", &completed.public_token).await;

    let done = workshop.perform(&late).await;

    assert_eq!(done.state, JobState::Completed, "{done:?}");
    assert_ne!(id_of(&done), id_of(&begun));
    assert!(!workshop.read_link_token(&done, &key).await.is_empty());
    let other = workshop.account(id_of(&done).parse().unwrap()).await;
    assert_eq!(other.status, AccountStatus::Pending);
    assert_eq!(other.end_user_email_address, "it@customer.example");
}

#[tokio::test]
async fn where_one_connection_may_be_one_that_was_linked_meanwhile_stays_the_only_one() {
    let workshop = Workshop::with(|_, settings| settings.connections = Connections::One).await;
    let (_, reply_key) = ReplyKey::generate();
    let (_, link_token) = workshop.begin_link("acme", "hris").await;
    let late = workshop
        .prepare(link_request("acme", "hris"), reply_key)
        .await;
    let completed = workshop.finish_link(&link_token);
    workshop.exchange("acme", &completed.public_token).await;

    let done = workshop.perform(&late).await;

    assert_eq!(done.state, JobState::Cancelled);
    assert_eq!(done.error_class.as_deref(), Some("already_active"));
}
