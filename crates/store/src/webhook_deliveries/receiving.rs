//! What the receiver does: append.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SHARDS, body_place};
use crate::error::During;
use crate::{DeliveryId, Error, Keyring};

/// Days for which partitions are made ahead.
const DAYS_AHEAD: i32 = 3;

/// A delivery to be kept, its body sealed already.
#[derive(Debug)]
pub struct NewDelivery {
    id: DeliveryId,
    shard: u16,
    hash: [u8; 32],
    sealed: crate::Sealed,
    secret_id: String,
    trace_context: Option<String>,
}

impl NewDelivery {
    /// Seals a body that was signed by the secret of this id.
    ///
    /// # Errors
    /// [`Error::Keyring`] for a body that is too long to be sealed.
    pub fn seal(keyring: &Keyring, body: &[u8], secret_id: &str) -> Result<Self, Error> {
        let id = DeliveryId::new();
        let hash: [u8; 32] = Sha256::digest(body).into();
        Ok(Self {
            id,
            shard: u16::from(hash[0]) % SHARDS,
            hash,
            sealed: keyring.seal(&body_place(id), body)?,
            secret_id: secret_id.to_owned(),
            trace_context: None,
        })
    }

    /// Notes the trace it came in, as a W3C `traceparent`: what it causes goes on with that.
    #[must_use]
    pub fn in_trace(mut self, traceparent: Option<String>) -> Self {
        self.trace_context = traceparent;
        self
    }

    /// Its id.
    pub fn id(&self) -> DeliveryId {
        self.id
    }

    /// The shard whose job drains it, below [`SHARDS`]; the same for the same body.
    pub fn shard(&self) -> u32 {
        self.shard.into()
    }
}

/// Keeps deliveries, all or none: one statement, which outside of a transaction is one commit.
///
/// Acknowledge them only after the commit, and enqueue the jobs that drain their shards only then, too: a drain that
/// starts in between would miss them. When nobody does, [`super::waiting_shards`] tells.
pub async fn insert(conn: &mut PgConnection, new: Vec<NewDelivery>) -> Result<(), Error> {
    let mut columns = Columns::default();
    for delivery in new {
        columns.push(delivery);
    }
    sqlx::query!(
        r#"
        INSERT INTO syncline.webhook_deliveries (
            id, shard, body_hash, body_sealed, body_key_id, secret_id, trace_context
        )
        SELECT *
        FROM unnest($1::uuid[], $2::smallint[], $3::bytea[], $4::bytea[], $5::text[], $6::text[], $7::text[])
        "#,
        &columns.ids,
        &columns.shards,
        &columns.hashes,
        &columns.bodies,
        &columns.body_keys,
        &columns.secrets,
        &columns.traces as &[Option<String>]
    )
    .execute(conn)
    .await
    .during("keep webhook deliveries")?;
    Ok(())
}

/// Deliveries by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    shards: Vec<i16>,
    hashes: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
    body_keys: Vec<String>,
    secrets: Vec<String>,
    traces: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, delivery: NewDelivery) {
        self.ids.push(delivery.id.0);
        self.shards.push(delivery.shard.cast_signed());
        self.hashes.push(delivery.hash.to_vec());
        self.bodies.push(delivery.sealed.bytes);
        self.body_keys.push(delivery.sealed.key_id);
        self.secrets.push(delivery.secret_id);
        self.traces.push(delivery.trace_context);
    }
}

/// Makes the partitions of today and of the days to come. Safe to call at any time.
pub async fn ensure_partitions(conn: &mut PgConnection) -> Result<(), Error> {
    sqlx::query_scalar!(
        r#"
        SELECT syncline.ensure_delivery_partitions(
            (now() AT TIME ZONE 'UTC')::date - 1, $1
        )::text AS "made"
        "#,
        DAYS_AHEAD
    )
    .fetch_one(conn)
    .await
    .during("make the partitions of webhook deliveries")?;
    Ok(())
}
