//! The inbox: what Merge sent, kept before it is acknowledged, judged later.
//!
//! Bodies are sealed, since one of the events brings an account token.
//!
//! **Duplicates.** Merge repeats a delivery, but has no id for it: only the same body tells. The same body may also
//! be news again, since one shape of event says "done" and no time. So a delivery is put aside as a duplicate
//! only while its twin still waits, and will be acted on later than both arrived; else it is
//! processed, with [`Delivery::twin_was_processed`] told to whoever judges it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::error::During;
use crate::{Aad, AccountId, DeliveryId, Error, Keyring};

/// How many ways the inbox is divided, so that as many jobs can drain it side by side.
pub const SHARDS: u16 = 8;

/// What was decided about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet.
    Received,
    /// It was acted on.
    Processed,
    /// It asks for nothing: a test, an event that we do not use, an account being deleted.
    Ignored,
    /// It is about an account that we do not know.
    UnknownAccount,
    /// Its body makes no sense.
    Unparseable,
    /// Another one said the same.
    Duplicate,
}

/// A delivery to be kept, its body sealed already.
#[derive(Debug)]
pub struct NewDelivery {
    id: DeliveryId,
    shard: u16,
    hash: [u8; 32],
    sealed: crate::Sealed,
    key_index: i16,
}

impl NewDelivery {
    /// Seals a body, signed by the secret at `key_index` of those configured.
    ///
    /// # Errors
    /// [`Error::Keyring`] for a body that is too long to be sealed.
    pub fn seal(keyring: &Keyring, body: &[u8], key_index: usize) -> Result<Self, Error> {
        let id = DeliveryId::new();
        let hash: [u8; 32] = Sha256::digest(body).into();
        Ok(Self {
            id,
            shard: u16::from(hash[0]) % SHARDS,
            hash,
            sealed: keyring.seal(&body_place(id), body)?,
            key_index: i16::try_from(key_index).unwrap_or(i16::MAX),
        })
    }

    /// Its id.
    pub fn id(&self) -> DeliveryId {
        self.id
    }

    /// The shard whose job drains it, below [`SHARDS`].
    pub fn shard(&self) -> u32 {
        self.shard.into()
    }
}

/// Keeps a delivery. False when it is a duplicate of one that still waits, so that nothing need be enqueued.
///
/// Acknowledge it only after the transaction is committed.
pub async fn insert(conn: &mut PgConnection, new: &NewDelivery) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        WITH twin AS (
            SELECT id, verdict
            FROM syncline.webhook_deliveries
            WHERE body_hash = $3
              AND received_at > now() - interval '1 day'
              AND verdict <> 'duplicate'
            ORDER BY received_at DESC
            LIMIT 1
        )
        INSERT INTO syncline.webhook_deliveries (
            id, shard, body_hash, body_sealed, body_key_id, key_index, duplicate_of, verdict, processed_at
        )
        SELECT
            $1, $2, $3, $4, $5, $6, twin.id,
            CASE twin.verdict WHEN 'received' THEN 'duplicate' ELSE 'received' END,
            CASE twin.verdict WHEN 'received' THEN now() END
        FROM (VALUES (1)) AS one_row (one)
        LEFT JOIN twin ON true
        RETURNING verdict = 'received' AS "is_news!"
        "#,
        new.id as DeliveryId,
        new.shard.cast_signed(),
        &new.hash,
        &new.sealed.bytes,
        new.sealed.key_id,
        new.key_index
    )
    .fetch_one(conn)
    .await
    .during("keep a webhook delivery")
}

/// A delivery that waits to be judged.
#[derive(Debug)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// When it was kept.
    pub received_at: DateTime<Utc>,
    /// Whether an earlier one with the same body was acted on.
    pub twin_was_processed: bool,
    /// The raw body; `Err` when it cannot be opened, because its key is not held any more.
    pub body: Result<SecretSlice<u8>, crate::KeyringError>,
}

impl Delivery {
    /// The raw body, when it could be opened.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.body.as_ref().ok().map(ExposeSecret::expose_secret)
    }
}

/// Reads deliveries of a shard that wait, oldest first, at most `limit`.
///
/// They stay waiting until [`judge`]; that one job at a time drains a shard is the queue's affair.
pub async fn waiting(
    conn: &mut PgConnection,
    keyring: &Keyring,
    shard: u32,
    limit: u16,
) -> Result<Vec<Delivery>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            waiting.id AS "id: DeliveryId",
            waiting.received_at,
            coalesce(twin.verdict = 'processed', false) AS "twin_was_processed!",
            waiting.body_sealed,
            waiting.body_key_id
        FROM syncline.webhook_deliveries AS waiting
        LEFT JOIN syncline.webhook_deliveries AS twin ON twin.id = waiting.duplicate_of
        WHERE waiting.shard = $1
          AND waiting.verdict = 'received'
        ORDER BY waiting.id
        LIMIT $2
        "#,
        i16::try_from(shard).unwrap_or(i16::MAX),
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("read waiting webhook deliveries")?;
    Ok(rows
        .into_iter()
        .map(|row| Delivery {
            body: keyring.open(&body_place(row.id), &row.body_key_id, &row.body_sealed),
            id: row.id,
            received_at: row.received_at,
            twin_was_processed: row.twin_was_processed,
        })
        .collect())
}

/// The shards in which something waits.
pub async fn waiting_shards(conn: &mut PgConnection) -> Result<Vec<u32>, Error> {
    let shards = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT shard
        FROM syncline.webhook_deliveries
        WHERE verdict = 'received'
        ORDER BY shard
        LIMIT 1000
        "#
    )
    .fetch_all(conn)
    .await
    .during("find the shards with waiting webhook deliveries")?;
    Ok(shards
        .into_iter()
        .map(|shard| shard.unsigned_abs().into())
        .collect())
}

/// What was decided about a delivery, and on what grounds.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// The decision.
    pub verdict: Verdict,
    /// Why, in a few words; holds no secret.
    pub detail: Option<&'a str>,
    /// The event that the body names.
    pub event: Option<&'a str>,
    /// Merge's id of the account that the body names.
    pub merge_account_id: Option<&'a str>,
    /// Our account, when it was found.
    pub account_id: Option<AccountId>,
}

/// Writes down what was decided. Does nothing if it was decided before.
pub async fn judge(
    conn: &mut PgConnection,
    id: DeliveryId,
    judgement: &Judgement<'_>,
) -> Result<(), Error> {
    let clean = |text: Option<&str>| text.map(|text| text.replace('\0', "\u{FFFD}"));
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_deliveries
        SET verdict = $2,
            verdict_detail = $3,
            event = $4,
            merge_account_id = $5,
            account_id = $6,
            processed_at = clock_timestamp()
        WHERE id = $1
          AND verdict = 'received'
        "#,
        id as DeliveryId,
        judgement.verdict as Verdict,
        clean(judgement.detail),
        clean(judgement.event),
        clean(judgement.merge_account_id),
        judgement.account_id as Option<AccountId>
    )
    .execute(conn)
    .await
    .during("judge a webhook delivery")?;
    Ok(())
}

/// Deletes deliveries that were judged longer ago than `age`, at most `limit`; returns how many.
pub async fn delete_judged(
    conn: &mut PgConnection,
    age: Duration,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.webhook_deliveries
        WHERE id IN (
            SELECT id
            FROM syncline.webhook_deliveries
            WHERE processed_at < now() - make_interval(secs => $1)
            ORDER BY processed_at
            LIMIT $2
        )
        "#,
        age.as_secs_f64(),
        i64::from(limit)
    )
    .execute(conn)
    .await
    .during("delete old webhook deliveries")?;
    Ok(deleted.rows_affected())
}

/// Deletes the deliveries of one account, which hold its data.
pub async fn delete_of_account(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.webhook_deliveries
        WHERE account_id = $1
           OR duplicate_of IN (SELECT id FROM syncline.webhook_deliveries WHERE account_id = $1)
        "#,
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("delete the webhook deliveries of a linked account")?;
    Ok(deleted.rows_affected())
}

fn body_place(id: DeliveryId) -> Aad<'static> {
    Aad {
        table: "webhook_deliveries",
        column: "body",
        organization_id: "",
        row_id: id.0,
    }
}

#[cfg(test)]
mod tests;
