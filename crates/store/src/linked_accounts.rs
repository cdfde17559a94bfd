//! Connections of customers to third-party systems.
//!
//! Whoever asks in the name of an organization passes it, and gets nothing of another's: the organization
//! is in the query, not in a check after it. `None` is for callers that act for every organization: jobs,
//! and API keys that are bound to none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::error::During;
use crate::events::{self, EventType};
use crate::{AccountId, Error};

mod finding;
mod health;
mod linking;
mod polling;
mod token;

pub use finding::{Hint, Meant, StatusCount, count_by_status, find_by_name, find_meant, lock_many};
pub use health::{Health, note_refusal, record_health, take_due_checks};
pub use linking::{
    LinkOutcome, Linked, NewAccount, Pending, find_for_link, link, linkable_categories,
    prepare_only_pending, prepare_pending,
};
pub use polling::{complete_initial_sync, put_poll_off, record_poll, take_due_polls};
pub use token::{Access, access, find_by_token, one_of_each_key, wipe_token};

/// The life of a linked account, as we see it; Merge's own word is kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AccountStatus {
    /// Linking was begun; there is no account token yet.
    Pending,
    /// Linked and synced.
    Active,
    /// Linked, but the customer must sign in again at the third party. What Merge has can still be read.
    RelinkNeeded,
    /// Merge does not accept us for this account; probed slowly.
    Error,
    /// Asked to be deleted; nothing is read any more.
    Deleting,
}

impl AccountStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Active,
        Self::RelinkNeeded,
        Self::Error,
        Self::Deleting,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::RelinkNeeded => "relink_needed",
            Self::Error => "error",
            Self::Deleting => "deleting",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether there is something to read at Merge: the account has a token and is not being deleted.
    pub fn is_readable(self) -> bool {
        match self {
            Self::Active | Self::RelinkNeeded | Self::Error => true,
            Self::Pending | Self::Deleting => false,
        }
    }
}

/// An account whose time has come to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAccount {
    /// The account.
    pub id: AccountId,
    /// Whose it is.
    pub organization_id: String,
}

/// One linked account, without its token.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LinkedAccount {
    /// Ours.
    pub id: AccountId,
    /// The product's id of its customer.
    pub organization_id: String,
    /// `hris`, `ats`, ….
    pub category: String,
    /// Our name of the connection at Merge.
    pub end_user_origin_id: String,
    /// The person, when a person rather than the organization is linked.
    pub user_id: Option<String>,
    /// The product's name for the connection.
    pub display_name: Option<String>,
    /// The slug asked for, in single-integration linking.
    pub integration: Option<String>,
    /// As shown in Merge's dialog.
    pub end_user_organization_name: String,
    /// As given to Merge.
    pub end_user_email_address: String,
    /// Where its life stands.
    pub status: AccountStatus,
    /// Merge's own word for it, as received.
    pub merge_status: Option<String>,
    /// Merge's id; `None` until it is linked.
    pub merge_account_id: Option<String>,
    /// `BambooHR`.
    pub integration_name: Option<String>,
    /// `bamboohr`.
    pub integration_slug: Option<String>,
    /// When every enabled model was stored for the first time.
    pub initial_sync_completed_at: Option<DateTime<Utc>>,
    /// The last whole reading of Merge's sync status.
    pub last_polled_at: Option<DateTime<Utc>>,
    /// When it is polled next.
    pub next_poll_at: Option<DateTime<Utc>>,
    /// The last error of the account as a whole; holds no secret.
    pub last_error: Option<String>,
    /// When linking was begun.
    pub created_at: DateTime<Utc>,
    /// The last change of this row.
    pub updated_at: DateTime<Utc>,
}

/// Which accounts to list, and from where.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter<'a> {
    /// Only this organization's; `None`: every organization's.
    pub organization_id: Option<&'a str>,
    /// Only this category's.
    pub category: Option<&'a str>,
    /// Only in this status.
    pub status: Option<AccountStatus>,
    /// Those after this one: the last id of the page before.
    pub after: Option<AccountId>,
}

/// Lists accounts by id, which is the order of their creation; at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &AccountFilter<'_>,
    limit: u16,
) -> Result<Vec<LinkedAccount>, Error> {
    sqlx::query_file_as!(
        LinkedAccount,
        "src/linked_accounts/list.sql",
        filter.organization_id,
        filter.category,
        filter.status as Option<AccountStatus>,
        filter.after as Option<AccountId>,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list linked accounts")
}

/// Reads one account; `None` when it does not exist or belongs to another organization.
pub async fn find(
    conn: &mut PgConnection,
    id: AccountId,
    organization_id: Option<&str>,
) -> Result<Option<LinkedAccount>, Error> {
    sqlx::query_file_as!(
        LinkedAccount,
        "src/linked_accounts/find.sql",
        id as AccountId,
        organization_id
    )
    .fetch_optional(conn)
    .await
    .during("read a linked account")
}

/// Reads one account and holds it: it is neither deleted nor changed by others until the transaction ends.
///
/// Take it before rows of other tables, so that transactions never wait for each other in a circle.
pub async fn lock(conn: &mut PgConnection, id: AccountId) -> Result<Option<AccountStatus>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT status AS "status: AccountStatus"
        FROM syncline.linked_accounts
        WHERE id = $1
        FOR UPDATE
        "#,
        id as AccountId
    )
    .fetch_optional(conn)
    .await
    .during("lock a linked account")
}

/// Finds an account by Merge's id of it.
pub async fn find_by_merge_id(
    conn: &mut PgConnection,
    merge_account_id: &str,
) -> Result<Option<AccountId>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id: AccountId"
        FROM syncline.linked_accounts
        WHERE merge_account_id = $1
        "#,
        merge_account_id
    )
    .fetch_optional(conn)
    .await
    .during("find a linked account by Merge's id")
}

/// Stores Merge's id of an account that was found by other means, unless one is stored already.
pub async fn learn_merge_id(
    conn: &mut PgConnection,
    id: AccountId,
    merge_account_id: &str,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET merge_account_id = $2, updated_at = now()
        WHERE id = $1
          AND merge_account_id IS NULL
          AND NOT EXISTS (
              SELECT FROM syncline.linked_accounts WHERE merge_account_id = $2
          )
        "#,
        id as AccountId,
        merge_account_id
    )
    .execute(conn)
    .await
    .during("store Merge's id of a linked account")?;
    Ok(())
}

/// Changes the status of an account as a whole, with the reason when it is a bad one.
///
/// A deletion is final: nothing leads out of [`AccountStatus::Deleting`]. A pending account is not touched.
pub async fn set_status(
    conn: &mut PgConnection,
    id: AccountId,
    status: AccountStatus,
    last_error: Option<&str>,
) -> Result<(), Error> {
    let before = lock(conn, id).await?;
    let changed = sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET status = $2, last_error = $3, updated_at = now()
        WHERE id = $1
          AND status NOT IN ('pending', 'deleting')
          AND (status, last_error) IS DISTINCT FROM ($2, $3)
        "#,
        id as AccountId,
        status as AccountStatus,
        last_error
    )
    .execute(&mut *conn)
    .await
    .during("change the status of a linked account")?;
    let is_news = changed.rows_affected() == 1 && before != Some(status);
    match (before, status) {
        (_, AccountStatus::RelinkNeeded) if is_news => {
            events::tell(conn, EventType::AccountRelinkNeeded, id, None, None).await
        }
        (Some(AccountStatus::RelinkNeeded), AccountStatus::Active) if is_news => {
            events::tell(conn, EventType::AccountLinked, id, None, None).await
        }
        _ => Ok(()),
    }
}

/// Marks an account as being deleted. True when it exists and its organization is the given one.
///
/// May be repeated. From here on nothing of it is read or polled.
pub async fn begin_deletion(
    conn: &mut PgConnection,
    id: AccountId,
    organization_id: Option<&str>,
) -> Result<bool, Error> {
    let done = sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET status = 'deleting', next_poll_at = NULL, updated_at = now()
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
        "#,
        id as AccountId,
        organization_id
    )
    .execute(conn)
    .await
    .during("mark a linked account as being deleted")?;
    Ok(done.rows_affected() == 1)
}

/// Accounts that have been marked as being deleted for this long, the oldest first, at most `limit`.
pub async fn list_deleting(
    conn: &mut PgConnection,
    since: Duration,
    limit: u16,
) -> Result<Vec<DueAccount>, Error> {
    sqlx::query_as!(
        DueAccount,
        r#"
        SELECT id AS "id: AccountId", organization_id
        FROM syncline.linked_accounts
        WHERE status = 'deleting'
          AND updated_at <= now() - make_interval(secs => $1)
        ORDER BY updated_at
        LIMIT $2
        "#,
        since.as_secs_f64(),
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list the accounts that are being deleted")
}

/// Removes the account's row and events, the last of it; what stays is one event that says so.
pub async fn delete(conn: &mut PgConnection, id: AccountId) -> Result<(), Error> {
    events::delete_of_account(conn, id).await?;
    events::tell(conn, EventType::AccountDeleted, id, None, None).await?;
    sqlx::query!(
        "DELETE FROM syncline.linked_accounts WHERE id = $1",
        id as AccountId
    )
    .execute(conn)
    .await
    .during("delete a linked account")?;
    Ok(())
}

#[cfg(test)]
mod tests;
