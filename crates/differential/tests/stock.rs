//! The stock storage under apalis' monitor, used as its documentation does, and a look into its tables.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{
    BoxDynError, Monitor, MonitorContext, MonitorError, RetryAfterError, TaskSink, WorkerBuilder,
    WorkerBuilderExt,
};
use apalis_postgres::{Config, PostgresStorage};
use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    PATIENCE,
    seen::{Act, Seen},
};

/// A storage of jobs that are numbers.
pub(crate) type Storage = PostgresStorage<u32>;

/// The storage, its tables made.
pub(crate) async fn storage(pool: &PgPool, config: Config) -> Storage {
    PostgresStorage::setup(pool).await.unwrap();
    reach(pool, config)
}

/// The storage, its tables made before.
pub(crate) fn reach<T>(pool: &PgPool, config: Config) -> PostgresStorage<T> {
    PostgresStorage::new(pool).with_config(config.queue("jobs"))
}

/// With heartbeats often enough that an idle worker looks for work soon.
///
/// Not more often: a heartbeat that comes due while the worker looks for work wakes it in vain, and it
/// sleeps for ever. So the interval must be longer than a query takes on a busy machine.
pub(crate) fn brisk() -> Config {
    Config::default().heartbeat_interval(Duration::from_secs(1))
}

/// Adds jobs in one statement.
pub(crate) async fn add(storage: &Storage, jobs: impl IntoIterator<Item = u32>) {
    let jobs = jobs.into_iter().collect();
    storage.clone().push_bulk(jobs).await.unwrap();
}

/// A handler that does so, for [`WorkerBuilder::build`].
pub(crate) fn handler(
    name: &'static str,
    seen: &Arc<Seen>,
    act: Act,
) -> impl Fn(u32) -> BoxFuture<'static, Result<(), BoxDynError>> + Clone + Send + 'static {
    let seen = Arc::clone(seen);
    move |job| {
        let seen = Arc::clone(&seen);
        async move { seen.run(job, name, perform(act, &seen)).await }.boxed()
    }
}

async fn perform(act: Act, seen: &Seen) -> Result<(), BoxDynError> {
    match act {
        Act::Done => Ok(()),
        Act::Gate => {
            seen.pass_gate().await;
            Ok(())
        }
        Act::Work(time) => {
            sleep(time).await;
            Ok(())
        }
        Act::Fail => Err("as told".into()),
        Act::Panic => panic!("as told"),
        Act::Hang => std::future::pending().await,
        Act::NotYet => Err(RetryAfterError::new("not yet", Duration::from_mins(1)).into()),
    }
}

/// A monitor with one worker as it is by default.
pub(crate) fn monitor(
    name: &'static str,
    storage: &Storage,
    seen: &Arc<Seen>,
    act: Act,
) -> Monitor {
    let (storage, handler) = (storage.clone(), handler(name, seen, act));
    Monitor::new().register(move |_| {
        WorkerBuilder::new(name)
            .backend(storage.clone())
            .build(handler.clone())
    })
}

/// A monitor with one worker that runs one job at a time.
pub(crate) fn one_at_a_time(
    name: &'static str,
    storage: &Storage,
    seen: &Arc<Seen>,
    act: Act,
) -> Monitor {
    let (storage, handler) = (storage.clone(), handler(name, seen, act));
    Monitor::new().register(move |_| {
        WorkerBuilder::new(name)
            .backend(storage.clone())
            .concurrency(1)
            .build(handler.clone())
    })
}

/// A monitor with its workers in a task of its own.
pub(crate) struct Running {
    context: MonitorContext,
    task: JoinHandle<Result<(), MonitorError>>,
}

impl Running {
    pub(crate) fn start(monitor: Monitor) -> Self {
        let context = monitor.context();
        #[expect(clippy::disallowed_methods, reason = "ended by the test")]
        let task = tokio::spawn(monitor.run());
        Self { context, task }
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }

    /// Stops gracefully: what runs may end.
    pub(crate) async fn stop(self) -> Result<(), MonitorError> {
        self.context.shutdown().unwrap();
        self.end().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(self) -> Result<(), MonitorError> {
        timeout(PATIENCE, self.task)
            .await
            .expect("it ends")
            .unwrap()
    }

    /// Ends it between two instructions, as `kill -9` would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A job as the stock storage keeps it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) max_attempts: i32,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) lock_by: Option<String>,
    /// As text: `{"Ok": …}` or `{"Err": …}`.
    pub(crate) last_result: Option<String>,
}

/// One job's row.
pub(crate) async fn row(pool: &PgPool, job: u32) -> Row {
    #[expect(clippy::disallowed_methods, reason = "a table of the stock storage")]
    let select = sqlx::query_as(
        "SELECT status, attempts, max_attempts, run_at, lock_by, last_result::text AS last_result
        FROM apalis.jobs
        WHERE job = convert_to($1, 'UTF8')",
    );
    select.bind(job.to_string()).fetch_one(pool).await.unwrap()
}

/// How many jobs there are.
pub(crate) async fn count(pool: &PgPool) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a table of the stock storage")]
    let select = sqlx::query_scalar("SELECT count(*) FROM apalis.jobs");
    select.fetch_one(pool).await.unwrap()
}

/// Runs a statement as it stands, on either side's tables.
pub(crate) async fn execute(pool: &PgPool, sql: &'static str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "tables of the stock storage, and statements that no product code runs"
    )]
    let statement = sqlx::raw_sql(AssertSqlSafe(sql));
    statement.execute(pool).await.unwrap();
}

/// Makes a worker look silent for long, without waiting for it.
pub(crate) async fn silence(pool: &PgPool, worker: &str) {
    #[expect(clippy::disallowed_methods, reason = "a table of the stock storage")]
    let update =
        sqlx::query("UPDATE apalis.workers SET last_seen = now() - interval '1 day' WHERE id = $1");
    let silenced = update.bind(worker).execute(pool).await.unwrap();
    assert_eq!(silenced.rows_affected(), 1, "`{worker}` is registered");
}
