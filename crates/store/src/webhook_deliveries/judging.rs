//! What the draining job does: read what waits, decide, write it down.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretSlice};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Verdict, body_place};
use crate::error::During;
use crate::{AccountId, DeliveryId, Error, Keyring};

/// Sealed bytes read at once.
const BATCH_BYTES: i64 = 16 << 20;

/// A delivery that waits to be judged.
#[derive(Debug)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// When it was kept.
    pub received_at: DateTime<Utc>,
    /// The SHA-256 of its body.
    pub body_hash: Vec<u8>,
    /// The latest one with the same body that was acted on.
    pub twin: Option<Twin>,
    /// Whether somebody asked to judge it once more, whatever became of it and its twins.
    pub is_replay: bool,
    /// The raw body; `Err` when it cannot be opened, because its key is not held any more.
    pub body: Result<SecretSlice<u8>, crate::KeyringError>,
    /// The trace it came in, as a W3C `traceparent`.
    pub trace_context: Option<String>,
    secret_id: String,
}

/// A delivery that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twin {
    /// Its id.
    pub id: DeliveryId,
    /// The account it is about.
    pub account_id: Option<AccountId>,
}

impl Delivery {
    /// The raw body, when it could be opened.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.body.as_ref().ok().map(ExposeSecret::expose_secret)
    }
}

/// Reads deliveries of a shard that wait, oldest first, at most `limit`; fewer of large ones.
///
/// They stay waiting until [`judge`]; that one job at a time drains a shard is the queue's affair.
pub async fn waiting(
    conn: &mut PgConnection,
    keyring: &Keyring,
    shard: u32,
    limit: u16,
) -> Result<Vec<Delivery>, Error> {
    waiting_up_to(conn, keyring, shard, limit, BATCH_BYTES).await
}

/// As [`waiting`], with so many sealed bytes at most, and one delivery at least.
pub(super) async fn waiting_up_to(
    conn: &mut PgConnection,
    keyring: &Keyring,
    shard: u32,
    limit: u16,
    bytes: i64,
) -> Result<Vec<Delivery>, Error> {
    let rows = sqlx::query_file!(
        "src/webhook_deliveries/waiting.sql",
        i16::try_from(shard).unwrap_or(i16::MAX),
        i64::from(limit),
        bytes
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
            body_hash: row.body_hash,
            twin: row.twin_id.map(|id| Twin {
                id,
                account_id: row.twin_account_id,
            }),
            is_replay: row.is_replay,
            secret_id: row.secret_id,
            trace_context: row.trace_context,
        })
        .collect())
}

/// The shards in which something waits.
pub async fn waiting_shards(conn: &mut PgConnection) -> Result<Vec<u32>, Error> {
    let shards = sqlx::query_scalar!(
        r#"
        SELECT shard AS "shard!"
        FROM generate_series(0, $1) AS shard
        WHERE EXISTS (
            SELECT FROM syncline.webhook_deliveries AS d WHERE d.shard = shard.shard AND verdict = 'received'
        )
        ORDER BY shard
        "#,
        i32::from(super::SHARDS) - 1
    )
    .fetch_all(conn)
    .await
    .during("find the shards with waiting webhook deliveries")?;
    Ok(shards.into_iter().map(i32::unsigned_abs).collect())
}

/// What was decided about a delivery, and on what grounds.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// The decision.
    pub verdict: Verdict,
    /// Why, in a few words; holds no secret.
    pub detail: Option<&'a str>,
    /// Which one said the same.
    pub duplicate_of: Option<DeliveryId>,
    /// The event that the body names.
    pub event: Option<&'a str>,
    /// Merge's id of the account that the body names.
    pub merge_account_id: Option<&'a str>,
    /// Our account, when it was found.
    pub account_id: Option<AccountId>,
    /// The jobs it caused.
    pub job_ids: Vec<Uuid>,
}

/// Writes down what was decided, and when their signing secrets were used. What was decided before stays.
pub async fn judge(
    conn: &mut PgConnection,
    judged: &[(&Delivery, Judgement<'_>)],
) -> Result<(), Error> {
    let mut columns = Columns::default();
    for (delivery, judgement) in judged {
        columns.push(delivery, judgement);
    }
    sqlx::query_file!(
        "src/webhook_deliveries/judge.sql",
        &columns.ids,
        &columns.received_at,
        &columns.verdicts,
        &columns.details as &[Option<String>],
        &columns.duplicate_of as &[Option<Uuid>],
        &columns.events as &[Option<String>],
        &columns.merge_account_ids as &[Option<String>],
        &columns.account_ids as &[Option<Uuid>],
        &columns.job_ids,
        &columns.secrets,
        columns.received_at.iter().min().copied(),
        columns.received_at.iter().max().copied()
    )
    .execute(conn)
    .await
    .during("judge webhook deliveries")?;
    Ok(())
}

/// Judgements by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    received_at: Vec<DateTime<Utc>>,
    verdicts: Vec<String>,
    details: Vec<Option<String>>,
    duplicate_of: Vec<Option<Uuid>>,
    events: Vec<Option<String>>,
    merge_account_ids: Vec<Option<String>>,
    account_ids: Vec<Option<Uuid>>,
    /// Each a list in Postgres' notation: arrays of arrays would all have to be of one length.
    job_ids: Vec<String>,
    secrets: Vec<String>,
}

impl Columns {
    fn push(&mut self, delivery: &Delivery, judgement: &Judgement<'_>) {
        let clean = |text: Option<&str>| text.map(|text| text.replace('\0', "\u{FFFD}"));
        let ids: Vec<String> = judgement.job_ids.iter().map(Uuid::to_string).collect();
        self.ids.push(delivery.id.0);
        self.received_at.push(delivery.received_at);
        self.verdicts.push(judgement.verdict.as_str().to_owned());
        self.details.push(clean(judgement.detail));
        self.duplicate_of
            .push(judgement.duplicate_of.map(|id| id.0));
        self.events.push(clean(judgement.event));
        self.merge_account_ids
            .push(clean(judgement.merge_account_id));
        self.account_ids.push(judgement.account_id.map(|id| id.0));
        self.job_ids.push(format!("{{{}}}", ids.join(",")));
        self.secrets.push(delivery.secret_id.clone());
    }
}

/// Lets wait again what was parked until this account is linked, or came before anybody knew whose Merge's id is.
/// Returns the shards that are to be drained.
pub async fn unpark(
    conn: &mut PgConnection,
    account_id: AccountId,
    merge_account_id: Option<&str>,
) -> Result<Vec<u32>, Error> {
    let shards = sqlx::query_scalar!(
        r#"
        WITH unparked AS (
            UPDATE syncline.webhook_deliveries
            SET verdict = 'received', verdict_detail = NULL, processed_at = NULL
            WHERE (account_id = $1 AND verdict = 'parked')
               OR (merge_account_id = $2 AND verdict IN ('parked', 'unknown_account'))
            RETURNING shard
        )
        SELECT DISTINCT shard AS "shard!"
        FROM unparked
        ORDER BY 1
        "#,
        account_id as AccountId,
        merge_account_id
    )
    .fetch_all(conn)
    .await
    .during("let parked webhook deliveries wait again")?;
    Ok(shards
        .into_iter()
        .map(|shard| shard.unsigned_abs().into())
        .collect())
}
