//! Deleting.

use std::time::Duration;

use jobs::create_pending::LinkRequest;
use jobs::delete_account::DeleteAccount;
use jobs::fetch_model_window::FetchModelWindow;
use jobs::maintain::Maintain;
use jobs::poll_sync_status::PollSyncStatus;
use jobs::reply::ReplyKey;
use merge_sandbox::FaultKind;
use queue::JobState;
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, AccountStatus};

use super::workshop::{Account, SYNC, Workshop, link_request};

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

/// The tables in which a text stands, in whatever column.
async fn tables_with(workshop: &Workshop, text: &str) -> Vec<String> {
    sqlx::query_scalar!(
        r#"
        SELECT table_name::text AS "table!"
        FROM information_schema.tables
        WHERE table_schema = 'syncline'
          AND table_type = 'BASE TABLE'
          AND query_to_xml(
              format('SELECT 1 FROM syncline.%I AS t WHERE t::text LIKE %L LIMIT 1', table_name, '%' || $1 || '%'),
              true, true, ''
          )::text LIKE '%<row%'
        ORDER BY 1
        "#,
        text
    )
    .fetch_all(workshop.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn no_name_address_or_record_of_the_account_is_left_in_any_table() {
    let workshop = Workshop::new().await;
    let (key, reply_key) = ReplyKey::generate();
    let request = LinkRequest {
        end_user_organization_name: "Canary Ltd",
        end_user_email_address: "canary@example.test",
        display_name: Some("Canary's"),
        ..link_request("acme", "hris")
    };
    let begun = workshop
        .perform(&workshop.prepare(request, reply_key).await)
        .await;
    let link_token = workshop.read_link_token(&begun, &key).await;
    let completed = workshop.finish_link(&link_token);
    workshop.exchange("acme", &completed.public_token).await;
    let account = Account {
        id: begun.result.unwrap()["linked_account_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        merge_id: completed.linked_account_id,
    };
    let name = [("first_name".to_owned(), json!("Canary"))].into();
    workshop
        .sandbox
        .create_record(account.merge_id, "hris.Employee", name)
        .unwrap();
    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;
    let before = tables_with(&workshop, "anary").await;
    assert_eq!(before, ["linked_accounts", "model_records"]);

    let job = workshop
        .perform(&DeleteAccount {
            account_id: account.id,
        })
        .await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert!(tables_with(&workshop, "anary").await.is_empty());
    let merge_id = account.merge_id.to_string();
    assert!(tables_with(&workshop, &merge_id).await.is_empty());
    // What says that it was: jobs and one event, by our own id.
    let left = tables_with(&workshop, &account.id.to_string()).await;
    assert!(left.contains(&"events".to_owned()), "{left:?}");
    for table in [
        "linked_accounts",
        "model_records",
        "model_syncs",
        "fetch_windows",
    ] {
        assert!(!left.contains(&table.to_owned()), "{left:?}");
    }
}

#[tokio::test]
async fn a_deletion_whose_job_is_dead_gets_another() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    linked_accounts::begin_deletion(&mut conn, account.id, None)
        .await
        .unwrap();

    workshop.perform(&Maintain {}).await;
    assert_eq!(
        workshop.account(account.id).await.status,
        AccountStatus::Deleting,
        "its job may be at work"
    );
    sqlx::query!("UPDATE syncline.linked_accounts SET updated_at = updated_at - interval '1 hour'")
        .execute(&mut *conn)
        .await
        .unwrap();
    workshop.perform(&Maintain {}).await;

    assert_eq!(count_rows(&workshop, &account).await, 0);
}
