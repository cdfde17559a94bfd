//! When an account is polled, and what a poll says of the account as a whole.

use std::time::Duration;

use sqlx::PgConnection;

use super::DueAccount;
use super::health::recover;
use crate::error::During;
use crate::events::{self, EventType};
use crate::{AccountId, Error};

/// Takes accounts that are due, oldest first, at most `limit`, and puts their next poll off.
///
/// `fallback` is when they come again if the poll does not set its own time, because it failed; it doubles with
/// each failure in a row, up to half a day, and up to as much again is added at random, so that accounts which
/// came together do not stay together. Accounts that someone else is taking are passed over.
pub async fn take_due_polls(
    conn: &mut PgConnection,
    limit: u16,
    fallback: Duration,
) -> Result<Vec<DueAccount>, Error> {
    sqlx::query_as!(
        DueAccount,
        r#"
        UPDATE syncline.linked_accounts
        SET next_poll_at = now()
                + least(make_interval(secs => $2) * power(2, least(poll_failures, 20)), interval '12 hours')
                * (1 + random()),
            poll_failures = poll_failures + 1
        WHERE id = ANY(ARRAY(
            SELECT id
            FROM syncline.linked_accounts
            WHERE next_poll_at <= now()
              AND status IN ('active', 'relink_needed', 'error')
            ORDER BY next_poll_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING id AS "id: AccountId", organization_id
        "#,
        i64::from(limit),
        fallback.as_secs_f64()
    )
    .fetch_all(conn)
    .await
    .during("take the accounts that are due for a poll")
}

/// Records a whole reading of Merge's sync status, and when to read it next.
///
/// An account that was refused before has recovered: it is active again. One that Merge itself wants to be linked
/// again is not: Merge shows what it has all the while.
pub async fn record_poll(
    conn: &mut PgConnection,
    id: AccountId,
    next_after: Duration,
) -> Result<(), Error> {
    let has_recovered = sqlx::query_scalar!(
        r#"
        UPDATE syncline.linked_accounts
        SET last_polled_at = now(),
            next_poll_at = CASE WHEN status = 'deleting' THEN NULL ELSE now() + make_interval(secs => $2) END,
            poll_failures = 0,
            updated_at = now()
        WHERE id = $1
        RETURNING status = 'error' OR (refusals > 0 AND merge_status IS DISTINCT FROM 'RELINK_NEEDED') AS "has_recovered!"
        "#,
        id as AccountId,
        next_after.as_secs_f64()
    )
    .fetch_optional(&mut *conn)
    .await
    .during("record a poll")?;
    if has_recovered == Some(true) {
        recover(conn, id).await?;
    }
    Ok(())
}

/// Sets when a refused account is polled next, nothing else: after this time, doubled with each poll in a row that
/// failed, at most a day. Not for one that is pending or being deleted.
pub async fn put_poll_off(
    conn: &mut PgConnection,
    id: AccountId,
    after: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET next_poll_at = now() + least(
                make_interval(secs => $2) * power(2, least(greatest(poll_failures - 1, 0), 20)),
                interval '1 day'
            )
        WHERE id = $1
          AND status IN ('active', 'relink_needed', 'error')
        "#,
        id as AccountId,
        after.as_secs_f64()
    )
    .execute(conn)
    .await
    .during("put a poll off")?;
    Ok(())
}

/// Marks the initial sync complete if nothing is missing any more; true if this call did it.
///
/// Complete means: Merge's sync status was read whole, it lists something, and every model that is neither
/// disabled nor refused was stored once. It is never set back. Call it after [`super::lock`], so that of two
/// models that are completed at once the second sees the first.
pub async fn complete_initial_sync(conn: &mut PgConnection, id: AccountId) -> Result<bool, Error> {
    let done = sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET initial_sync_completed_at = now(), updated_at = now()
        WHERE id = $1
          AND initial_sync_completed_at IS NULL
          AND last_polled_at IS NOT NULL
          AND EXISTS (
              SELECT FROM syncline.model_syncs WHERE account_id = $1
          )
          AND NOT EXISTS (
              SELECT
              FROM syncline.model_syncs
              WHERE account_id = $1
                AND fetched_through IS NULL
                AND refusal IS NULL
                AND status IS DISTINCT FROM 'DISABLED'
          )
        "#,
        id as AccountId
    )
    .execute(&mut *conn)
    .await
    .during("complete an initial sync")?;
    let is_completed = done.rows_affected() == 1;
    if is_completed {
        events::tell(conn, EventType::AccountInitialSyncCompleted, id, None, None).await?;
    }
    Ok(is_completed)
}
