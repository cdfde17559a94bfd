//! Our queue, as `src/worker.rs` runs it: its worker under apalis' monitor.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use apalis::prelude::{Monitor, WorkerBuilder};
use queue::backend::Performer;
use queue::worker::{Settings, Worker};
use queue::{Attempt, Client, Failure, Job, Lane, NewJob, Queue, Registry};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::contenders::{LOAD_BATCH, PATIENCE};
use crate::ledger::{Ledger, Payload};
use crate::server::Database;
use crate::sql;

/// Connections of the pool that handlers and enqueuers use.
const CONNECTIONS: u32 = 8;

/// How the worker is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// Jobs at once.
    pub(crate) slots: usize,
    /// Jobs of one lane at once.
    pub(crate) lane_concurrency: usize,
    /// Jobs after which a lane's turn ends.
    pub(crate) quantum: usize,
}

impl Profile {
    /// As a worker is set by default, but for the queue that is measured.
    pub(crate) const DEFAULT: Self = Self {
        slots: 16,
        lane_concurrency: 4,
        quantum: 64,
    };

    /// For jobs that take no time.
    pub(crate) const BULK: Self = Self {
        slots: 4_000,
        lane_concurrency: 64,
        quantum: 1_000,
    };

    pub(crate) fn settings(self) -> Settings {
        Settings {
            slots: BTreeMap::from([(Queue::SYNC, self.slots)]),
            lane_concurrency: self.lane_concurrency,
            quantum: self.quantum,
            ..Settings::default()
        }
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

/// A job that only says that it ran.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Noop(pub(crate) Payload);

impl Job for Noop {
    type Context = Ledger;
    type Error = Failure;
    const KIND: &'static str = "noop";
    const QUEUE: Queue = Queue::SYNC;

    fn lane(&self) -> Lane {
        lane(self.0.account)
    }

    async fn run(&self, ledger: &Ledger, _attempt: &mut Attempt) -> Result<(), Failure> {
        ledger.note(self.0.number);
        Ok(())
    }
}

/// The lane of an account; named as real ones are.
pub(crate) fn lane(account: u32) -> Lane {
    Lane::account(uuid::Uuid::from_u128(
        0x019a_0000_0000_7000_8000_0000_0000_0000 | u128::from(account),
    ))
}

/// A worker at work.
pub(crate) struct Running {
    worker: Worker,
    executing: JoinSet<Result<()>>,
}

impl Running {
    pub(crate) async fn start(
        client: &Client,
        settings: Settings,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        let registry = Arc::new(Registry::new().register::<Noop>());
        let (worker, backend) = Worker::start(client, &registry, settings)
            .await
            .context("cannot start the worker")?;
        let performer = Performer::new(registry, Arc::clone(ledger));
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
    let pool = database.pool(CONNECTIONS).await?;
    let client = Client::new(pool.clone());
    let ledger = Arc::new(Ledger::expecting(jobs));
    let begun = Instant::now();
    let running = Running::start(&client, profile.settings(), &ledger).await?;
    ledger.complete(PATIENCE).await?;
    let left = "SELECT count(*) FROM (SELECT FROM syncline.jobs WHERE run_at <= now() LIMIT 1) AS left_over";
    database.until_none(&pool, left, PATIENCE).await?;
    let took = begun.elapsed();
    running.stop().await?;
    ledger.check()?;
    check_history(&pool, jobs).await?;
    pool.close().await;
    Ok(took)
}

/// That each job stands in history once, after its first attempt, and nothing is left running or dead.
pub(crate) async fn check_history(pool: &PgPool, jobs: u64) -> Result<()> {
    let done = "SELECT count(DISTINCT id) FROM syncline.job_history
                WHERE kind = 'noop' AND state = 'completed' AND attempt = 1";
    let all = "SELECT (SELECT count(*) FROM syncline.job_history WHERE kind = 'noop')
                    + (SELECT count(*) FROM syncline.dead_jobs)
                    + (SELECT count(*) FROM syncline.jobs WHERE started_at IS NOT NULL)";
    let (done, all) = (
        sql::number(pool, done).await?,
        sql::number(pool, all).await?,
    );
    ensure!(
        u64::try_from(done) == Ok(jobs) && done == all,
        "{jobs} jobs, {done} completed at once, {all} ended or running"
    );
    Ok(())
}
