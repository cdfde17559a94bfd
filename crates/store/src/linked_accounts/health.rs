//! How an account is at Merge, by its own word and by what it refuses.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{AccountStatus, DueAccount, lock, set_status};
use crate::error::During;
use crate::{AccountId, Error};

/// Refusals in a row after which the customer has to link again.
const MOST_REFUSALS: i32 = 3;

/// What Merge says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Its word for the account's status, if it had one.
    Told(Option<String>),
    /// Merge does not know the account.
    Unknown,
    /// Merge refuses us for the account.
    Refused,
}

/// Takes accounts whose details are due to be read, oldest first, at most `limit`; they are due again after
/// `interval`, a fifth less to a fifth more. Accounts that someone else is taking are passed over.
pub async fn take_due_checks(
    conn: &mut PgConnection,
    limit: u16,
    interval: Duration,
) -> Result<Vec<DueAccount>, Error> {
    sqlx::query_as!(
        DueAccount,
        r#"
        UPDATE syncline.linked_accounts
        SET next_check_at = now() + make_interval(secs => $2) * (0.8 + 0.4 * random())
        WHERE id = ANY(ARRAY(
            SELECT id
            FROM syncline.linked_accounts
            WHERE next_check_at <= now()
              AND status IN ('active', 'relink_needed', 'error')
            ORDER BY next_check_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING id AS "id: AccountId", organization_id
        "#,
        i64::from(limit),
        interval.as_secs_f64()
    )
    .fetch_all(conn)
    .await
    .during("take the accounts that are due for a check")
}

/// Records what Merge says of an account, and returns the status that follows; `None` when the account is gone.
///
/// `linked_at` is that of the account when Merge was asked: if it was linked again since, nothing is recorded.
pub async fn record_health(
    conn: &mut PgConnection,
    id: AccountId,
    linked_at: Option<DateTime<Utc>>,
    health: &Health,
) -> Result<Option<AccountStatus>, Error> {
    let Some(before) = lock(conn, id).await? else {
        return Ok(None);
    };
    let told = match health {
        Health::Told(word) => word.as_deref(),
        Health::Unknown | Health::Refused => None,
    };
    let is_current = sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET merge_status = coalesce($3, merge_status), updated_at = now()
        WHERE id = $1
          AND linked_at IS NOT DISTINCT FROM $2
        "#,
        id as AccountId,
        linked_at,
        told
    )
    .execute(&mut *conn)
    .await
    .during("store Merge's word for a linked account")?;
    if is_current.rows_affected() == 0 || !before.is_readable() {
        return Ok(Some(before));
    }
    match (health, told) {
        (Health::Told(_), Some("RELINK_NEEDED")) => {
            let reason = Some("the customer must sign in again at the third party");
            set_status(conn, id, AccountStatus::RelinkNeeded, reason).await?;
        }
        (Health::Told(_), Some("COMPLETE" | "IDLE")) => recover(conn, id).await?,
        (Health::Told(_), _) => {}
        (Health::Unknown, _) => {
            let reason = Some("Merge does not know the account");
            set_status(conn, id, AccountStatus::Error, reason).await?;
        }
        (Health::Refused, _) => note_refusal(conn, id, "Merge refuses the account").await?,
    }
    lock(conn, id).await
}

/// Counts that Merge refused us for an account. It is in error, and after several times in a row has to be linked again.
pub async fn note_refusal(
    conn: &mut PgConnection,
    id: AccountId,
    reason: &str,
) -> Result<(), Error> {
    let Some(before) = lock(conn, id).await? else {
        return Ok(());
    };
    let refusals = sqlx::query_scalar!(
        r#"
        UPDATE syncline.linked_accounts
        SET refusals = refusals + 1
        WHERE id = $1
        RETURNING refusals
        "#,
        id as AccountId
    )
    .fetch_one(&mut *conn)
    .await
    .during("count the refusals of a linked account")?;
    let status = if refusals >= MOST_REFUSALS || before == AccountStatus::RelinkNeeded {
        AccountStatus::RelinkNeeded
    } else {
        AccountStatus::Error
    };
    set_status(conn, id, status, Some(reason)).await
}

/// Makes an account active again, and forgets its refusals.
pub(super) async fn recover(conn: &mut PgConnection, id: AccountId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.linked_accounts SET refusals = 0 WHERE id = $1 AND refusals > 0",
        id as AccountId
    )
    .execute(&mut *conn)
    .await
    .during("forget the refusals of a linked account")?;
    set_status(conn, id, AccountStatus::Active, None).await
}
