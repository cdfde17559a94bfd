//! apalis' own Postgres storage, apalis-postgres 1.0.0.
//!
//! Its locking is off: that is a second write for each job, and it guards against nothing here. Its
//! results cannot be off: without them it acknowledges nothing. Handlers run in the worker's own task,
//! which for jobs that do nothing is faster than a task for each.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use apalis::prelude::{Data, TaskBuilder, WorkerBuilder};
use apalis_postgres::{Config, PostgresStorage, queries};
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::contenders::{LOAD_BATCH, PATIENCE};
use crate::ledger::{Ledger, Payload};
use crate::server::Database;
use crate::sql;

const QUEUE: &str = "noop";
const CONNECTIONS: u32 = 10;

/// What may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Jobs of one fetch.
    pub(crate) batch: usize,
    /// Workers in the process.
    pub(crate) workers: usize,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (batch, workers) = (self.batch, self.workers);
        write!(f, "batch {batch}, lock_tasks off, {workers} worker(s)")
    }
}

/// Makes its tables.
pub(crate) async fn set_up(database: &Database) -> Result<()> {
    let pool = database.pool(1).await?;
    PostgresStorage::setup(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Pushes by thousands.
pub(crate) async fn load(database: &Database, jobs: &[Payload]) -> Result<()> {
    let mut connection = database.connect().await?;
    for batch in jobs.chunks(LOAD_BATCH) {
        push(&mut connection, batch).await?;
    }
    Ok(())
}

/// Pushes in one statement.
pub(crate) async fn push(connection: &mut PgConnection, jobs: &[Payload]) -> Result<()> {
    let tasks = jobs
        .iter()
        .map(|job| Ok(TaskBuilder::new(serde_json::to_vec(job)?).build()))
        .collect::<Result<_>>()?;
    queries::push_tasks(connection, QUEUE, tasks).await?;
    Ok(())
}

/// See [`crate::contenders::Contender::drain`].
pub(crate) async fn drain(database: &Database, jobs: u64, settings: Settings) -> Result<Duration> {
    let pool = database.pool(CONNECTIONS).await?;
    let ledger = Arc::new(Ledger::expecting(jobs));
    let stop = CancellationToken::new();
    let config = Config::default()
        .queue(QUEUE)
        .batch_size(settings.batch)
        .lock_tasks(false);
    // Times are in whole seconds there, and a job is due after its second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..settings.workers {
        let storage = PostgresStorage::<Payload>::new(&pool).with_config(config.clone());
        let stopped = stop.clone();
        let stopped = async move {
            stopped.cancelled().await;
            Ok::<_, std::io::Error>(())
        };
        let worker = WorkerBuilder::new(format!("bench-{number}"))
            .backend(storage)
            .data(Arc::clone(&ledger))
            .build(noop);
        workers.spawn(async move { worker.run_until(stopped).await });
    }
    ledger.complete(PATIENCE).await?;
    let left = "SELECT count(*) FROM (SELECT FROM apalis.jobs WHERE status <> 'Done' LIMIT 1) AS left_over";
    sql::until_none(&pool, left, Duration::from_millis(2), PATIENCE).await?;
    let took = begun.elapsed();
    stop.cancel();
    while let Some(worker) = workers.join_next().await {
        worker
            .context("a worker panicked")?
            .map_err(|error| anyhow!("a worker ended badly: {error}"))?;
    }
    ledger.check()?;
    let done = sql::number(
        &pool,
        "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'",
    )
    .await?;
    ensure!(
        u64::try_from(done) == Ok(jobs),
        "{done} of {jobs} jobs are done"
    );
    pool.close().await;
    Ok(took)
}

async fn noop(job: Payload, ledger: Data<Arc<Ledger>>) {
    ledger.note(job.number);
}
