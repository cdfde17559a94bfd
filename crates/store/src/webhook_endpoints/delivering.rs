//! What the job that delivers needs to know, and what it reports.

use std::time::Duration;

use secrecy::SecretSlice;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DisabledReason, secret_place};
use crate::error::During;
use crate::{EndpointId, Error, Keyring};

/// An endpoint that has events to come.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub organization_id: Option<String>,
}

/// The endpoints that have events to come and are not waiting for another attempt. Those for which nothing of what came
/// is meant are moved past it.
pub async fn due(conn: &mut PgConnection) -> Result<Vec<Due>, Error> {
    sqlx::query_file_as!(Due, "src/webhook_endpoints/due.sql")
        .fetch_all(conn)
        .await
        .during("find the webhook endpoints that are due")
}

/// Whether events were told that have no place in the feed yet, and somebody may be waiting for them: two looks at
/// indexes.
///
/// # Errors
/// [`Error::Database`].
pub async fn has_news(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT
            EXISTS (SELECT FROM syncline.events WHERE last_position IS NULL)
            AND EXISTS (SELECT FROM syncline.webhook_endpoints WHERE disabled_at IS NULL) AS "has_news!"
        "#
    )
    .fetch_one(conn)
    .await
    .during("look for events that were just told")
}

/// An endpoint with its secrets, to send to it.
#[derive(Debug)]
pub struct OpenEndpoint {
    /// Only this organization's events; `None`: every organization's.
    pub organization_id: Option<String>,
    /// Where to.
    pub url: String,
    /// The secret that signs, then the one before it if that is still active.
    pub secrets: Vec<SecretSlice<u8>>,
    /// Only these; `None`: all.
    pub event_types: Option<Vec<String>>,
    /// After which event to go on.
    pub position: i64,
    /// Whether nothing is to be sent.
    pub is_disabled: bool,
    /// It failed lately, and until its time has come only this job may try again; `None`: any may.
    pub resting_for: Option<Uuid>,
    /// The time, in Unix seconds.
    pub now: i64,
}

/// Opens an endpoint; `None` when there is none.
///
/// # Errors
/// [`Error::Keyring`] when a secret was sealed by a key that is not held, or was moved or altered.
pub async fn open(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: EndpointId,
) -> Result<Option<OpenEndpoint>, Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            organization_id,
            url,
            event_types,
            secret_sealed,
            secret_key_id,
            old_secret_sealed,
            old_secret_key_id,
            position,
            disabled_at IS NOT NULL AS "is_disabled!",
            CASE WHEN retry_at > now() THEN retry_job_id END AS resting_for,
            extract(epoch FROM now())::bigint AS "now!"
        FROM syncline.webhook_endpoints
        WHERE id = $1
        "#,
        id as EndpointId
    )
    .fetch_optional(conn)
    .await
    .during("open a webhook endpoint")?;
    let Some(row) = row else { return Ok(None) };

    let place = secret_place(id, row.organization_id.as_deref());
    let mut secrets = vec![keyring.open(&place, &row.secret_key_id, &row.secret_sealed)?];
    if let (Some(sealed), Some(key_id)) = (&row.old_secret_sealed, &row.old_secret_key_id) {
        secrets.push(keyring.open(&place, key_id, sealed)?);
    }
    Ok(Some(OpenEndpoint {
        secrets,
        organization_id: row.organization_id,
        url: row.url,
        event_types: row.event_types,
        position: row.position,
        is_disabled: row.is_disabled,
        resting_for: row.resting_for,
        now: row.now,
    }))
}

/// Notes that the event at `position` was delivered, and with it all before it. A position never goes back.
pub async fn delivered(
    conn: &mut PgConnection,
    id: EndpointId,
    position: i64,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET position = greatest(position, $2),
            delivered_at = now(),
            failures = 0,
            failing_since = NULL,
            last_status = NULL,
            last_error = NULL,
            retry_at = NULL
        WHERE id = $1
        "#,
        id as EndpointId,
        position
    )
    .execute(conn)
    .await
    .during("note a delivered event")?;
    Ok(())
}

/// Moves an endpoint past events none of which is for it.
pub async fn pass_by(conn: &mut PgConnection, id: EndpointId, position: i64) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET position = $2
        WHERE id = $1
          AND position < $2
        "#,
        id as EndpointId,
        position
    )
    .execute(conn)
    .await
    .during("move a webhook endpoint on")?;
    Ok(())
}

/// An attempt that failed.
#[derive(Debug, Clone)]
pub struct Failed<'a> {
    /// The job that will try again.
    pub job_id: Uuid,
    /// What was answered, if anything was.
    pub status: Option<u16>,
    /// What was wrong; is shown to whoever made the endpoint.
    pub error: &'a str,
    /// When the next attempt comes, at the latest.
    pub retry_after: Duration,
    /// The endpoint wants no more events, ever.
    pub is_gone: bool,
}

/// Notes an attempt that failed. Disables the endpoint if it is gone, or has been failing for `give_up_after`, and says
/// so; `None` if not, or if it was disabled before.
pub async fn failed(
    conn: &mut PgConnection,
    id: EndpointId,
    failed: &Failed<'_>,
    give_up_after: Duration,
) -> Result<Option<DisabledReason>, Error> {
    let row = sqlx::query_file!(
        "src/webhook_endpoints/failed.sql",
        id as EndpointId,
        failed.status.and_then(|status| i16::try_from(status).ok()),
        failed.error,
        failed.retry_after.as_secs_f64(),
        failed.is_gone,
        give_up_after.as_secs_f64(),
        failed.job_id
    )
    .fetch_optional(conn)
    .await
    .during("note a failed delivery")?;
    Ok(row.and_then(|row| row.disabled_reason))
}

/// Disables an endpoint whose next events are kept no longer; false if it was disabled before.
pub async fn forget(conn: &mut PgConnection, id: EndpointId) -> Result<bool, Error> {
    let disabled = sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET disabled_at = now(),
            disabled_reason = 'events_forgotten'
        WHERE id = $1
          AND disabled_at IS NULL
        "#,
        id as EndpointId
    )
    .execute(conn)
    .await
    .during("disable a webhook endpoint")?;
    Ok(disabled.rows_affected() == 1)
}
