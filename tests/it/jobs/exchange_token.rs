//! Turning a public token into a linked account.

use std::time::Duration;

use merge_sandbox::{Fault, FaultKind};
use queue::JobState;
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, AccountStatus};

use super::workshop::Workshop;

#[tokio::test]
async fn an_exchange_links_the_account_and_polls_it() {
    let workshop = Workshop::new().await;
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);

    let job = workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    let result = job.result.unwrap();
    assert_eq!(
        result["linked_account_id"],
        begun.result.unwrap()["linked_account_id"]
    );
    assert_eq!(result["integration_slug"], completed.integration);
    let id = result["linked_account_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let account = workshop.account(id).await;
    assert_eq!(account.status, AccountStatus::Active);
    assert_eq!(account.merge_status.as_deref(), Some("COMPLETE"));
    assert_eq!(
        account.merge_account_id,
        Some(completed.linked_account_id.to_string())
    );
    assert!(account.last_polled_at.is_some(), "the poll ran");
}

#[tokio::test]
async fn another_organizations_account_is_refused_and_nothing_is_stored() {
    let workshop = Workshop::new().await;
    let (victim, link_token) = workshop.begin_link("victim", "hris").await;
    workshop.begin_link("thief", "hris").await;
    let completed = workshop.finish_link(&link_token);

    let job = workshop.exchange("thief", &completed.public_token).await;

    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(job.error_class.as_deref(), Some("account_not_found"));
    let id = victim.result.unwrap()["linked_account_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(workshop.account(id).await.status, AccountStatus::Pending);
    let tokens = sqlx::query_scalar!(
        r#"SELECT count(account_token_sealed) AS "n!" FROM syncline.linked_accounts"#
    );
    assert_eq!(tokens.fetch_one(workshop.pool()).await.unwrap(), 0);
    assert_eq!(kept_answers(&workshop).await, 0);
}

#[tokio::test]
async fn an_organization_without_accounts_is_refused_without_asking_merge() {
    let workshop = Workshop::new().await;
    let requests = workshop.sandbox.state().requests;

    let job = workshop.exchange("nobody", "a-public-token").await;

    assert_eq!(job.error_class.as_deref(), Some("account_not_found"));
    assert_eq!(workshop.sandbox.state().requests, requests);
}

#[tokio::test]
async fn an_unknown_public_token_is_rejected() {
    let workshop = Workshop::new().await;
    workshop.begin_link("acme", "hris").await;

    let job = workshop.exchange("acme", "no-such-token").await;

    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(job.error_class.as_deref(), Some("merge_rejected"));
}

#[tokio::test]
async fn the_right_category_is_found_among_several() {
    let workshop = Workshop::new().await;
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    workshop.begin_link("acme", "ats").await;
    workshop.begin_link("acme", "crm").await;

    let job = workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(
        job.result.unwrap()["linked_account_id"],
        begun.result.unwrap()["linked_account_id"]
    );
}

#[tokio::test]
async fn the_webhook_and_the_exchange_end_in_one_account_and_one_token() {
    for is_webhook_first in [true, false] {
        let workshop = Workshop::new().await;
        let (begun, link_token) = workshop.begin_link("acme", "hris").await;
        let completed = workshop.finish_link(&link_token);
        // Linking once more gives another public token for the same account, whose exchange tells its token.
        let (_, link_token) = workshop.begin_link("acme", "hris").await;
        let public_token = workshop.finish_link(&link_token).public_token.into();
        let told = workshop
            .context
            .merge
            .exchange_public_token(&public_token)
            .await
            .unwrap();
        let result = begun.result.unwrap();
        let webhook = json!({
            "hook": { "event": "LinkedAccount.linked" },
            "linked_account": {
                "id": completed.linked_account_id,
                "end_user_origin_id": result["end_user_origin_id"],
                "category": "hris",
                "status": "COMPLETE",
            },
            "data": { "account_token": told.account_token.expose(), "is_relink": false },
        });

        if is_webhook_first {
            workshop.deliver(&webhook).await;
        }
        let job = workshop.exchange("acme", &completed.public_token).await;
        if !is_webhook_first {
            workshop.deliver(&webhook).await;
        }

        assert_eq!(job.state, JobState::Completed, "{job:?}");
        let rows = sqlx::query_scalar!("SELECT id FROM syncline.linked_accounts")
            .fetch_all(workshop.pool())
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(result["linked_account_id"], rows[0].to_string());
        let account = workshop.account(AccountId(rows[0])).await;
        assert_eq!(account.status, AccountStatus::Active);
        assert_eq!(
            account.merge_account_id,
            Some(completed.linked_account_id.to_string())
        );
    }
}

#[tokio::test]
async fn a_fault_after_the_exchange_is_retried_without_exchanging_again() {
    let workshop = Workshop::new().await;
    let (_, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    let fault = Fault {
        path_prefix: "/api/hris/v1/account-details".to_owned(),
        account_token: None,
        times: 1,
        kind: FaultKind::Reset,
    };
    workshop.sandbox.add_fault(fault);

    let failed = workshop.exchange("acme", &completed.public_token).await;
    assert_eq!(failed.attempts[0].error_class, "transport");
    workshop.advance(Duration::from_mins(1)).await;
    workshop.run().await;

    let job = workshop.job(failed.id).await;
    assert_eq!(
        (job.state, job.attempt),
        (JobState::Completed, 2),
        "{job:?}"
    );
    assert_eq!(kept_answers(&workshop).await, 0);
}

#[tokio::test]
async fn the_same_token_again_gets_the_same_answer_without_asking_merge() {
    let workshop = Workshop::new().await;
    let (_, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    let first = workshop.exchange("acme", &completed.public_token).await;
    let requests = workshop.sandbox.state().requests;

    let second = workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(second.state, JobState::Completed);
    assert_eq!(first.result, second.result);
    assert_eq!(workshop.sandbox.state().requests, requests);
}

/// Answers of Merge's that are kept still.
async fn kept_answers(workshop: &Workshop) -> i64 {
    sqlx::query_scalar!(r#"SELECT count(answer_sealed) AS "n!" FROM syncline.exchanges"#)
        .fetch_one(workshop.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn no_token_is_readable_in_the_database() {
    let workshop = Workshop::new().await;
    let (_, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    workshop.exchange("acme", &completed.public_token).await;
    let id = sqlx::query_scalar!("SELECT id FROM syncline.linked_accounts")
        .fetch_one(workshop.pool())
        .await
        .unwrap();
    let mut conn = workshop.pool().acquire().await.unwrap();
    let access = linked_accounts::access(&mut conn, &workshop.context.keyring, AccountId(id))
        .await
        .unwrap()
        .unwrap();
    let account_token = access.token.unwrap();

    for secret in [
        link_token.as_str(),
        completed.public_token.as_str(),
        secrecy::ExposeSecret::expose_secret(&account_token),
    ] {
        assert_nowhere(&workshop, secret).await;
    }
}

/// Searches every column of every table, bytes as well.
#[expect(
    clippy::disallowed_methods,
    reason = "every table there is, whatever its name"
)]
async fn assert_nowhere(workshop: &Workshop, secret: &str) {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'syncline'",
    )
    .fetch_all(workshop.pool())
    .await
    .unwrap();
    assert!(tables.len() > 10);
    // Bytes are shown in hex.
    let hex = secret
        .bytes()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    for table in tables {
        let search = format!(
            "SELECT count(*) FROM {table} AS t WHERE position($1 IN t::text) > 0 OR position($2 IN t::text) > 0"
        );
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(search))
            .bind(secret)
            .bind(&hex)
            .fetch_one(workshop.pool())
            .await
            .unwrap();
        assert_eq!(found, 0, "a secret is readable in {table}");
    }
}
