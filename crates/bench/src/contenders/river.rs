//! River for Rust, riverqueue 0.5.0.
//!
//! It fetches as many jobs as it has free workers, in two statements at once from a thousand up, and
//! its completer writes up to 5,000 in a statement, two at once. What may be tuned is the number of
//! workers and the pause between fetches, which is set to the least that is allowed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use riverqueue::migrate::PostgresMigrator;
use riverqueue::{
    BoxError, Client, FETCH_COOLDOWN_MIN, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome,
    Workers,
};
use serde::{Deserialize, Serialize};

use crate::contenders::{LOAD_BATCH, PATIENCE};
use crate::ledger::{Ledger, Payload};
use crate::server::Database;
use crate::sql;

const CONNECTIONS: u32 = 10;

/// What may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Jobs at once.
    pub(crate) workers: usize,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workers, fetch cooldown 1 ms", self.workers)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Noop(Payload);

impl JobArgs for Noop {
    const KIND: &'static str = "noop";
}

/// Makes its tables.
pub(crate) async fn set_up(database: &Database) -> Result<()> {
    let pool = database.pool(2).await?;
    PostgresMigrator::new(pool.clone()).migrate_up().await?;
    pool.close().await;
    Ok(())
}

/// Inserts by thousands.
pub(crate) async fn load(database: &Database, jobs: &[Payload]) -> Result<()> {
    let pool = database.pool(2).await?;
    let client = Client::builder(pool.clone()).build()?;
    for batch in jobs.chunks(LOAD_BATCH) {
        insert_many(&client, batch).await?;
    }
    pool.close().await;
    Ok(())
}

/// Inserts in one statement.
pub(crate) async fn insert_many(client: &Client, jobs: &[Payload]) -> Result<()> {
    client
        .insert_many(jobs.iter().map(|job| Noop(job.clone())))
        .await?;
    Ok(())
}

/// Inserts one job, in a transaction of its own.
pub(crate) async fn insert_one(client: &Client, job: &Payload) -> Result<()> {
    client.insert(Noop(job.clone())).await?;
    Ok(())
}

/// See [`crate::contenders::Contender::drain`].
pub(crate) async fn drain(database: &Database, jobs: u64, settings: Settings) -> Result<Duration> {
    let pool = database.pool(CONNECTIONS).await?;
    let ledger = Arc::new(Ledger::expecting(jobs));
    let begun = Instant::now();
    let mut workers = Workers::new();
    let noted = Arc::clone(&ledger);
    workers.add_fn(move |_: WorkContext, job: Job<Noop>| {
        noted.note(job.args.0.number);
        async { Ok::<_, BoxError>(WorkOutcome::Complete) }
    })?;
    let client = Client::builder(pool.clone())
        .workers(workers)
        .queue("default", QueueConfig::new(settings.workers))
        .fetch_cooldown(FETCH_COOLDOWN_MIN)
        .build()?;
    let mut run = client.start()?;
    ledger.complete(PATIENCE).await?;
    let left = "SELECT count(*) FROM (
                    SELECT FROM river_job WHERE state IN ('available', 'running', 'retryable') LIMIT 1
                ) AS left_over";
    sql::until_none(&pool, left, Duration::from_millis(2), PATIENCE).await?;
    let took = begun.elapsed();
    run.stop().await?;
    ledger.check()?;
    let done = "SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1";
    let done = sql::number(&pool, done).await?;
    ensure!(
        u64::try_from(done) == Ok(jobs),
        "{done} of {jobs} jobs are done"
    );
    pool.close().await;
    Ok(took)
}
