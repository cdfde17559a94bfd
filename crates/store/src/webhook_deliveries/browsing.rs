//! What people do: look, and have deliveries judged once more.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretSlice;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Verdict, body_place};
use crate::error::During;
use crate::{AccountId, DeliveryId, Error, Keyring};

/// One delivery, without its body.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// When it was kept.
    pub received_at: DateTime<Utc>,
    /// What was decided.
    pub verdict: Verdict,
    /// Why.
    pub verdict_detail: Option<String>,
    /// When; `None`: it waits.
    pub processed_at: Option<DateTime<Utc>>,
    /// The event that its body names.
    pub event: Option<String>,
    /// Our account.
    pub account_id: Option<AccountId>,
    /// Merge's id of the account.
    pub merge_account_id: Option<String>,
    /// The jobs it caused; some may have waited already.
    pub job_ids: Option<Vec<Uuid>>,
    /// Which one said the same.
    pub duplicate_of: Option<DeliveryId>,
    /// How often somebody had it judged once more.
    pub replays: i16,
    /// Which secret signed it.
    pub secret_id: String,
    /// SHA-256 of its body, in hexadecimal digits.
    pub body_hash: String,
    /// Length of its body, sealed.
    pub sealed_bytes: i32,
}

/// Which deliveries; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter<'a> {
    /// What was decided.
    pub verdict: Option<Verdict>,
    /// The event, as named in the body.
    pub event: Option<&'a str>,
    /// Our account.
    pub account_id: Option<AccountId>,
    /// Kept at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Kept before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Lists deliveries, newest first, at most `limit`; those before `before`, for the next page.
pub async fn list(
    conn: &mut PgConnection,
    filter: &DeliveryFilter<'_>,
    before: Option<DeliveryId>,
    limit: u16,
) -> Result<Vec<DeliveryView>, Error> {
    sqlx::query_as!(
        DeliveryView,
        r#"
        SELECT
            id AS "id: DeliveryId", received_at, verdict AS "verdict: Verdict", verdict_detail, processed_at, event,
            account_id AS "account_id: AccountId", merge_account_id, job_ids,
            duplicate_of AS "duplicate_of: DeliveryId", replays, secret_id, encode(body_hash, 'hex') AS "body_hash!",
            octet_length(body_sealed) AS "sealed_bytes!"
        FROM syncline.webhook_deliveries
        WHERE ($1::text IS NULL OR verdict = $1)
          AND ($2::text IS NULL OR event = $2)
          AND ($3::uuid IS NULL OR account_id = $3)
          AND ($4::timestamptz IS NULL OR received_at >= $4)
          AND ($5::timestamptz IS NULL OR received_at < $5)
          AND ($6::uuid IS NULL OR id < $6)
        ORDER BY id DESC
        LIMIT $7
        "#,
        filter.verdict.map(Verdict::as_str),
        filter.event,
        filter.account_id as Option<AccountId>,
        filter.since,
        filter.until,
        before as Option<DeliveryId>,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list webhook deliveries")
}

/// Reads one delivery; `None` when there is none of this id.
pub async fn find(conn: &mut PgConnection, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
    sqlx::query_as!(
        DeliveryView,
        r#"
        SELECT
            id AS "id: DeliveryId", received_at, verdict AS "verdict: Verdict", verdict_detail, processed_at, event,
            account_id AS "account_id: AccountId", merge_account_id, job_ids,
            duplicate_of AS "duplicate_of: DeliveryId", replays, secret_id, encode(body_hash, 'hex') AS "body_hash!",
            octet_length(body_sealed) AS "sealed_bytes!"
        FROM syncline.webhook_deliveries
        WHERE id = $1
        "#,
        id as DeliveryId
    )
    .fetch_optional(conn)
    .await
    .during("read a webhook delivery")
}

/// Opens the body of a delivery, byte for byte as it came; `None` when there is none of this id.
///
/// # Errors
/// [`Error::Keyring`] when its key is not held any more.
pub async fn open_body(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: DeliveryId,
) -> Result<Option<SecretSlice<u8>>, Error> {
    let row = sqlx::query!(
        "SELECT body_sealed, body_key_id FROM syncline.webhook_deliveries WHERE id = $1",
        id as DeliveryId
    )
    .fetch_optional(conn)
    .await
    .during("read the body of a webhook delivery")?;
    let open = |body: &[u8], key: &str| keyring.open(&body_place(id), key, body);
    let body = row.map(|row| open(&row.body_sealed, &row.body_key_id));
    Ok(body.transpose()?)
}

/// What was made to wait again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many.
    pub deliveries: u64,
    /// The shards that are to be drained.
    pub shards: Vec<u32>,
    /// The last of them, from where to go on.
    pub last: Option<DeliveryId>,
}

/// Lets a delivery wait again, to be judged as if it had just come, whatever its twins; not one that waits already.
pub async fn replay(conn: &mut PgConnection, id: DeliveryId) -> Result<Replayed, Error> {
    let shard = sqlx::query_scalar!(
        r#"
        UPDATE syncline.webhook_deliveries
        SET verdict = 'received', verdict_detail = NULL, processed_at = NULL, replays = least(replays + 1, 30000)
        WHERE id = $1
          AND verdict <> 'received'
        RETURNING shard
        "#,
        id as DeliveryId
    )
    .fetch_optional(conn)
    .await
    .during("replay a webhook delivery")?;
    Ok(Replayed {
        deliveries: shard.is_some().into(),
        shards: shard
            .map(|shard| shard.unsigned_abs().into())
            .into_iter()
            .collect(),
        last: shard.map(|_| id),
    })
}

/// As [`replay`], for those of a filter, oldest first: at most `limit`, of those after `after`.
pub async fn replay_between(
    conn: &mut PgConnection,
    filter: &DeliveryFilter<'_>,
    after: Option<DeliveryId>,
    limit: u16,
) -> Result<Replayed, Error> {
    let row = sqlx::query!(
        r#"
        WITH chosen AS (
            SELECT id, received_at
            FROM syncline.webhook_deliveries
            WHERE ($1::text IS NULL OR verdict = $1)
              AND ($2::text IS NULL OR event = $2)
              AND ($3::uuid IS NULL OR account_id = $3)
              AND ($4::timestamptz IS NULL OR received_at >= $4)
              AND ($5::timestamptz IS NULL OR received_at < $5)
              AND ($6::uuid IS NULL OR id > $6)
              AND verdict <> 'received'
            ORDER BY id
            LIMIT $7
        ),
        replayed AS (
            UPDATE syncline.webhook_deliveries AS delivery
            SET verdict = 'received', verdict_detail = NULL, processed_at = NULL, replays = least(replays + 1, 30000)
            FROM chosen
            WHERE delivery.id = chosen.id
              AND delivery.received_at = chosen.received_at
            RETURNING delivery.id, delivery.shard
        )
        SELECT
            count(*) AS "deliveries!",
            array_agg(DISTINCT shard) AS shards,
            (SELECT id FROM replayed ORDER BY id DESC LIMIT 1) AS "last: DeliveryId"
        FROM replayed
        "#,
        filter.verdict.map(Verdict::as_str),
        filter.event,
        filter.account_id as Option<AccountId>,
        filter.since,
        filter.until,
        after as Option<DeliveryId>,
        i64::from(limit)
    )
    .fetch_one(conn)
    .await
    .during("replay webhook deliveries")?;
    let shards = row.shards.unwrap_or_default();
    Ok(Replayed {
        deliveries: row.deliveries.unsigned_abs(),
        shards: shards
            .into_iter()
            .map(|shard| shard.unsigned_abs().into())
            .collect(),
        last: row.last,
    })
}

/// How many deliveries of an event got a verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// As named in the bodies; `None`: not known yet, or never.
    pub event: Option<String>,
    /// What was decided.
    pub verdict: Verdict,
    /// How many.
    pub deliveries: i64,
    /// The latest of them.
    pub last_received_at: DateTime<Utc>,
    /// Seconds from being kept to the verdict, in the middle and at most; `None` while they wait.
    pub median_seconds: Option<f64>,
    /// The slowest.
    pub longest_seconds: Option<f64>,
}

/// Counts the deliveries kept in so long a time until now, by event and verdict.
pub async fn tally(conn: &mut PgConnection, last: Duration) -> Result<Vec<Tally>, Error> {
    sqlx::query_as!(
        Tally,
        r#"
        SELECT
            event,
            verdict AS "verdict: Verdict",
            count(*) AS "deliveries!",
            max(received_at) AS "last_received_at!",
            percentile_cont(0.5) WITHIN GROUP (
                ORDER BY extract(epoch FROM processed_at - received_at)::float8
            ) AS median_seconds,
            max(extract(epoch FROM processed_at - received_at)::float8) AS longest_seconds
        FROM syncline.webhook_deliveries
        WHERE received_at >= now() - make_interval(secs => $1)
        GROUP BY event, verdict
        ORDER BY event NULLS FIRST, verdict
        LIMIT 10000
        "#,
        last.as_secs_f64()
    )
    .fetch_all(conn)
    .await
    .during("count webhook deliveries")
}

/// Since when the delivery waits that waits longest to be judged; `None` when none does.
pub async fn waiting_since(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT min(first.received_at)
        FROM generate_series(0, $1::integer - 1) AS shard
        CROSS JOIN LATERAL (
            SELECT received_at
            FROM syncline.webhook_deliveries d
            WHERE d.shard = shard::smallint AND d.verdict = 'received'
            ORDER BY d.id
            LIMIT 1
        ) AS first
        "#,
        i32::from(super::SHARDS)
    )
    .fetch_one(conn)
    .await
    .during("look for deliveries that wait")
}

/// When a signing secret was in use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SecretUse {
    /// Its id.
    pub id: String,
    /// When the first delivery came that it signed.
    pub first_used_at: DateTime<Utc>,
    /// The last; to the minute.
    pub last_used_at: DateTime<Utc>,
}

/// The signing secrets that deliveries came with, the one used last first.
pub async fn secrets(conn: &mut PgConnection) -> Result<Vec<SecretUse>, Error> {
    sqlx::query_as!(
        SecretUse,
        r#"
        SELECT id, first_used_at, last_used_at
        FROM syncline.webhook_secrets
        ORDER BY last_used_at DESC, id
        LIMIT 1000
        "#
    )
    .fetch_all(conn)
    .await
    .during("list the signing secrets of webhooks")
}
