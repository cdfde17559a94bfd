//! The workers there are, and what people can ask of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::{
    client::Client,
    error::Error,
    ids::{JobId, WorkerId},
};

/// A worker: one start of a process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// `running`, `draining`, `stopped` or `dead`.
    pub state: String,
    /// What somebody asked of it: `quiet`, `drain`, or nothing.
    pub wanted: Option<String>,
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub pid: i32,
    /// The version it runs.
    pub version: String,
    /// Jobs of each queue it runs at once, as `{"sync": 16}`.
    pub slots: Value,
    /// Jobs it ran when it last renewed its lease.
    pub running: i32,
    /// Connections to the database that its pool may have; 0 before it told.
    pub connections: i32,
    /// Those in use when it last renewed its lease.
    pub connections_in_use: i32,
    /// Lanes it holds.
    pub lanes: i64,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// Since when not any more.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long its lease still holds; nothing left means that it is silent.
    #[serde(rename = "lease_left_seconds", serialize_with = "in_seconds")]
    pub lease_left: Duration,
}

pub(crate) fn in_seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

/// What can be asked of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To start nothing more, and go on living.
    Quiet,
    /// To work again after it was quiet.
    Work,
    /// To end as if its process had been told to stop.
    Drain,
}

/// The workers that live, and those that ended last: newest first, `limit` at most.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(pool: &PgPool, limit: u16) -> Result<Vec<WorkerView>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            w.id, w.state, w.wanted, w.host, w.pid, w.version, w.slots, w.running, w.connections,
            w.connections_in_use, w.started_at, w.ended_at,
            greatest(extract(epoch FROM w.lease_until - now()), 0)::float8 AS "lease_seconds!",
            (SELECT count(*) FROM syncline.lanes WHERE owner = w.id) AS "lanes!"
        FROM syncline.workers w
        ORDER BY w.ended_at DESC NULLS FIRST, w.id DESC
        LIMIT $1
        "#,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("list workers"))?;
    let workers = rows.into_iter().map(|row| WorkerView {
        id: WorkerId(row.id),
        state: row.state,
        wanted: row.wanted,
        host: row.host,
        pid: row.pid,
        version: row.version,
        slots: row.slots,
        running: row.running,
        connections: row.connections,
        connections_in_use: row.connections_in_use,
        lanes: row.lanes,
        started_at: row.started_at,
        ended_at: row.ended_at,
        lease_left: Duration::try_from_secs_f64(row.lease_seconds).unwrap_or_default(),
    });
    Ok(workers.collect())
}

/// Jobs that ran in a worker when it ended without a word, the newest first, `limit` at most.
///
/// # Errors
/// [`Error::Database`].
pub async fn cut_off(pool: &PgPool, worker: WorkerId, limit: u16) -> Result<Vec<JobId>, Error> {
    let ids = sqlx::query_scalar!(
        r#"
        SELECT job_id
        FROM syncline.job_attempts
        WHERE worker_id = $1 AND outcome = 'crashed'
        ORDER BY started_at DESC, job_id
        LIMIT $2
        "#,
        worker.0,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("list what ran in a worker"))?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Asks something of a worker, which hears it within two seconds; false when no such worker lives.
///
/// # Errors
/// [`Error::Database`].
pub async fn ask(client: &Client, worker: WorkerId, what: Ask) -> Result<bool, Error> {
    let mut connection = client
        .pool()
        .acquire()
        .await
        .map_err(Error::database("ask something of a worker"))?;
    let lives = ask_in(&mut connection, worker, what).await?;
    client.wake();
    Ok(lives)
}

/// As [`ask`], in the caller's transaction; call [`Client::wake`] after its commit.
///
/// # Errors
/// [`Error::Database`].
pub async fn ask_in(tx: &mut PgConnection, worker: WorkerId, what: Ask) -> Result<bool, Error> {
    let wanted = match what {
        Ask::Quiet => Some("quiet"),
        Ask::Work => None,
        Ask::Drain => Some("drain"),
    };
    let lives = sqlx::query!(
        r#"
        UPDATE syncline.workers
        SET wanted = $2
        WHERE id = $1 AND state IN ('running', 'draining')
        "#,
        worker.0,
        wanted,
    )
    .execute(tx)
    .await
    .map_err(Error::database("ask something of a worker"))?
    .rows_affected()
        == 1;
    Ok(lives)
}
