//! Our queue, as `src/worker.rs` runs it: its worker under apalis' monitor.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use apalis::prelude::{Monitor, WorkerBuilder};
use queue::backend::Performer;
use queue::limiter::Rate;
use queue::worker::{Settings, Worker};
use queue::{Client, NewJob, Queue, Registry};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;

pub(crate) use self::jobs::{Call, Context, Noop};
use crate::contenders::{LOAD_BATCH, PATIENCE};
use crate::fill::NEWER_IDS;
use crate::ledger::{Ledger, Payload};
use crate::server::Database;
use crate::sql;

mod jobs;

/// Connections of the pool that handlers and enqueuers use.
const CONNECTIONS: u32 = 8;

/// How the worker is set; all else is as by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// Jobs of the measured queue at once.
    pub(crate) slots: usize,
    /// Jobs of one lane at once.
    pub(crate) lane_concurrency: usize,
    /// Jobs after which a lane's turn ends.
    pub(crate) quantum: usize,
    /// Requests a lane may make in any minute, and how many of them at once.
    pub(crate) per_minute: u32,
    pub(crate) burst: u32,
    /// A worker silent for this long is dead; it renews three times as often.
    pub(crate) lease: Duration,
}

impl Profile {
    /// As the service is set.
    pub(crate) const DEFAULT: Self = Self {
        slots: 16,
        lane_concurrency: 4,
        quantum: 64,
        per_minute: 80,
        burst: 20,
        lease: Duration::from_secs(15),
    };

    /// For jobs that take no time.
    pub(crate) const BULK: Self = Self {
        slots: 4_000,
        lane_concurrency: 64,
        quantum: 1_000,
        ..Self::DEFAULT
    };

    fn settings(self) -> Settings {
        let mut settings = Settings {
            lane_concurrency: self.lane_concurrency,
            quantum: self.quantum,
            rate: Rate {
                per_minute: self.per_minute,
                burst: self.burst,
            },
            lease: self.lease,
            renew_interval: self.lease / 3,
            ..Settings::default()
        };
        settings.slots.insert(Queue::SYNC, self.slots);
        settings
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "slots {}, lane_concurrency {}, quantum {}",
            self.slots, self.lane_concurrency, self.quantum
        )
    }
}

/// A worker at work.
pub(crate) struct Running {
    worker: Worker,
    executing: JoinSet<Result<()>>,
}

impl Running {
    pub(crate) async fn start(client: &Client, profile: Profile, context: Context) -> Result<Self> {
        let registry = Arc::new(Registry::new().register::<Noop>().register::<Call>());
        let (worker, backend) = Worker::start(client, &registry, profile.settings())
            .await
            .context("cannot start the worker")?;
        let performer = Performer::new(registry, Arc::new(context));
        let monitor = Monitor::new().register(move |restarts| {
            WorkerBuilder::new(format!("bench-{restarts}"))
                .backend(backend.clone())
                .build(performer.clone())
        });
        let mut executing = JoinSet::new();
        executing.spawn(async move { monitor.run().await.context("the executor ended badly") });
        Ok(Self { worker, executing })
    }

    /// Drains it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.worker.drain().await;
        while let Some(ended) = self.executing.join_next().await {
            ended.context("the executor panicked")??;
        }
        Ok(())
    }
}

/// Enqueues by thousands.
pub(crate) async fn load(database: &Database, jobs: &[Payload]) -> Result<()> {
    let mut connection = database.connect().await?;
    for batch in jobs.chunks(LOAD_BATCH) {
        enqueue_many(&mut connection, batch).await?;
    }
    Ok(())
}

/// Enqueues in one statement.
pub(crate) async fn enqueue_many(connection: &mut PgConnection, jobs: &[Payload]) -> Result<()> {
    let new: Vec<_> = jobs.iter().map(new_job).collect::<Result<_>>()?;
    queue::enqueue_many(connection, &new).await?;
    Ok(())
}

pub(crate) fn new_job(payload: &Payload) -> Result<NewJob> {
    Ok(NewJob::new(&Noop(payload.clone()))?)
}

/// Enqueues one job, in a statement and commit of its own, and wakes workers.
pub(crate) async fn enqueue_one(
    client: &Client,
    connection: &mut PgConnection,
    payload: &Payload,
) -> Result<()> {
    queue::enqueue(connection, &new_job(payload)?).await?;
    client.wake();
    Ok(())
}

/// See [`crate::contenders::Contender::drain`].
pub(crate) async fn drain(database: &Database, jobs: u64, profile: Profile) -> Result<Duration> {
    let took = work_off(database, jobs, profile).await?;
    check_history(database, jobs).await?;
    Ok(took)
}

/// Runs all jobs, which may have predecessors in history; answers the time it took.
pub(crate) async fn work_off(database: &Database, jobs: u64, profile: Profile) -> Result<Duration> {
    let pool = database.pool(CONNECTIONS).await?;
    let client = Client::new(pool.clone());
    let ledger = Arc::new(Ledger::expecting(jobs));
    let begun = Instant::now();
    let running = Running::start(&client, profile, Context::of(&ledger)).await?;
    ledger.complete(PATIENCE).await?;
    until_committed(&pool, Duration::from_millis(2)).await?;
    let took = begun.elapsed();
    running.stop().await?;
    ledger.check()?;
    pool.close().await;
    Ok(took)
}

/// Waits until no job that was enqueued, rather than filled in, is live.
pub(crate) async fn until_committed(pool: &PgPool, look_every: Duration) -> Result<()> {
    let left = format!(
        "SELECT count(*) FROM (SELECT FROM syncline.jobs WHERE id > '{NEWER_IDS}' LIMIT 1) AS left_over"
    );
    sql::until_none(pool, &left, look_every, PATIENCE).await
}

/// That each job stands in history once, after its first attempt, and nothing is left running or dead.
pub(crate) async fn check_history(database: &Database, jobs: u64) -> Result<()> {
    let pool = database.pool(1).await?;
    let done = "SELECT count(DISTINCT id) FROM syncline.job_history
                WHERE kind = 'noop' AND state = 'completed' AND attempt = 1";
    let all = "SELECT (SELECT count(*) FROM syncline.job_history WHERE kind = 'noop')
                    + (SELECT count(*) FROM syncline.dead_jobs)
                    + (SELECT count(*) FROM syncline.jobs WHERE started_at IS NOT NULL)";
    let (done, all) = (
        sql::number(&pool, done).await?,
        sql::number(&pool, all).await?,
    );
    pool.close().await;
    ensure!(
        u64::try_from(done) == Ok(jobs) && done == all,
        "{jobs} jobs, {done} completed at once, {all} ended or running"
    );
    Ok(())
}
