//! The physical limit: what Postgres does when nothing is asked of it but claiming and deleting.
//!
//! No attempts, no history, no lanes, no fence, no retries. A claim marks a batch by an update that
//! touches no indexed column (a HOT update) and returns the payloads; a completion deletes it.

#![expect(
    clippy::disallowed_methods,
    reason = "this table exists in the benchmark only, so the checks do not know it"
)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::contenders::{LOAD_BATCH, PATIENCE};
use crate::ledger::{Ledger, Payload};
use crate::server::Database;
use crate::sql;

/// Its only table. Room in the pages lets the claim stay there.
pub(crate) const TABLES: &str = "
    CREATE TABLE jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload jsonb NOT NULL,
        claimed_at timestamptz
    ) WITH (fillfactor = 70)";

const CLAIM: &str = "
    UPDATE jobs
    SET claimed_at = now()
    WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE claimed_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, payload";

const COMPLETE: &str = "DELETE FROM jobs WHERE id = ANY ($1)";

/// How it is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Claimers at work at once.
    pub(crate) clients: u32,
    /// Whether a client completes one batch while it claims the next, on a second connection.
    pub(crate) is_overlapped: bool,
    /// Jobs of one claim.
    pub(crate) batch: i64,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_overlapped {
            "claiming while completing"
        } else {
            "claim, then complete"
        };
        let (clients, batch) = (self.clients, self.batch);
        write!(f, "{clients} client(s), batch {batch}, {how}")
    }
}

/// One `unnest` insert per thousand.
pub(crate) async fn load(database: &Database, jobs: &[Payload]) -> Result<()> {
    let mut connection = database.connect().await?;
    for batch in jobs.chunks(LOAD_BATCH) {
        insert_many(&mut connection, batch).await?;
    }
    Ok(())
}

/// Adds jobs in one statement.
pub(crate) async fn insert_many(connection: &mut PgConnection, jobs: &[Payload]) -> Result<()> {
    let payloads: Vec<Json<&Payload>> = jobs.iter().map(Json).collect();
    sqlx::query("INSERT INTO jobs (payload) SELECT * FROM unnest($1::jsonb[])")
        .bind(payloads)
        .execute(connection)
        .await
        .context("cannot insert jobs")?;
    Ok(())
}

/// Adds one job, in a statement and commit of its own.
pub(crate) async fn insert_one(connection: &mut PgConnection, job: &Payload) -> Result<()> {
    sqlx::query("INSERT INTO jobs (payload) VALUES ($1)")
        .bind(Json(job))
        .execute(connection)
        .await
        .context("cannot insert a job")?;
    Ok(())
}

/// See [`crate::contenders::Contender::drain`].
pub(crate) async fn drain(database: &Database, jobs: u64, settings: Settings) -> Result<Duration> {
    let pool = database.pool(settings.clients * 2).await?;
    let ledger = Arc::new(Ledger::expecting(jobs));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..settings.clients {
        clients.spawn(work(pool.clone(), Arc::clone(&ledger), settings));
    }
    let mut completed = 0;
    while let Some(client) = clients.join_next().await {
        completed += client.context("a client panicked")??;
    }
    let took = begun.elapsed();
    ledger.complete(PATIENCE).await?;
    ledger.check()?;
    ensure!(completed == jobs, "{completed} of {jobs} jobs completed");
    let left = sql::number(&pool, "SELECT count(*) FROM jobs").await?;
    ensure!(left == 0, "{left} jobs are left");
    pool.close().await;
    Ok(took)
}

/// Claims until nothing is left; answers how many jobs it completed.
async fn work(pool: PgPool, ledger: Arc<Ledger>, settings: Settings) -> Result<u64> {
    let mut connection = pool.acquire().await?;
    if !settings.is_overlapped {
        let mut completed = 0;
        loop {
            let ids = claim(&mut connection, &ledger, settings.batch).await?;
            if ids.is_empty() {
                return Ok(completed);
            }
            completed += complete(&mut connection, &ids).await?;
        }
    }
    let (to_complete, mut batches) = mpsc::channel::<Vec<i64>>(1);
    let mut second = pool.acquire().await?;
    let completing = async {
        let mut completed = 0;
        while let Some(ids) = batches.recv().await {
            completed += complete(&mut second, &ids).await?;
        }
        anyhow::Ok(completed)
    };
    let claiming = async {
        // Taken along, so that the other half ends with this one.
        let to_complete = to_complete;
        loop {
            let ids = claim(&mut connection, &ledger, settings.batch).await?;
            if ids.is_empty() {
                return anyhow::Ok(());
            }
            to_complete.send(ids).await?;
        }
    };
    let (completed, ()) = tokio::try_join!(completing, claiming)?;
    Ok(completed)
}

async fn claim(connection: &mut PgConnection, ledger: &Ledger, batch: i64) -> Result<Vec<i64>> {
    let rows: Vec<(i64, Json<Payload>)> = sqlx::query_as(CLAIM)
        .bind(batch)
        .fetch_all(connection)
        .await
        .context("cannot claim")?;
    for (_, payload) in &rows {
        ledger.note(payload.number);
    }
    Ok(rows.into_iter().map(|(id, _)| id).collect())
}

async fn complete(connection: &mut PgConnection, ids: &[i64]) -> Result<u64> {
    let done = sqlx::query(COMPLETE)
        .bind(ids)
        .execute(connection)
        .await
        .context("cannot complete")?;
    Ok(done.rows_affected())
}
