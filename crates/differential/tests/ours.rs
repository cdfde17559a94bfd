//! Our worker under apalis' worker, as the product runs it, and a job that does as its payload says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apalis::prelude::WorkerBuilder;
use queue::{
    Attempt, Client, Failure, Job, JobId, JobView, Lane, NewJob, Queue, Registry, RetryPolicy,
    backend::Performer,
    enqueue, enqueue_many,
    worker::{Settings, Worker},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use test_support::TestDatabase;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    PATIENCE,
    process::Process,
    seen::{Act, Seen, Step},
};

/// A job by its number, as the stock storage's `u32`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) number: u32,
    pub(crate) act: Act,
    pub(crate) lane: String,
    pub(crate) unique: Option<String>,
}

impl Probe {
    /// A job of the lane `a`.
    pub(crate) fn new(number: u32, act: Act) -> Self {
        Self {
            number,
            act,
            lane: "a".to_owned(),
            unique: None,
        }
    }

    pub(crate) fn job(&self) -> NewJob {
        NewJob::new(self).unwrap()
    }
}

/// What handlers may touch: the record, and whose they are.
pub(crate) struct Context {
    pub(crate) seen: Arc<Seen>,
    pub(crate) worker: &'static str,
}

impl Job for Probe {
    type Context = Context;
    type Error = Failure;
    const KIND: &'static str = "probe";
    const QUEUE: Queue = Queue::SYNC;
    /// Long, so that a delay drawn by chance cannot be over before a test is.
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 10,
        base: Duration::from_hours(10_000),
        cap: Duration::from_hours(10_000),
    };
    const TIMEOUT: Duration = Duration::from_mins(10);

    fn lane(&self) -> Lane {
        Lane::organization(&self.lane)
    }

    fn unique_key(&self) -> Option<String> {
        self.unique.clone()
    }

    async fn run(&self, context: &Context, _: &mut Attempt) -> Result<(), Failure> {
        let body = self.act(&context.seen);
        context.seen.run(self.number, context.worker, body).await
    }
}

impl Probe {
    async fn act(&self, seen: &Seen) -> Result<(), Failure> {
        match self.act {
            Act::Done => Ok(()),
            Act::Gate => {
                seen.pass_gate().await;
                Ok(())
            }
            Act::Work(time) => {
                sleep(time).await;
                Ok(())
            }
            Act::Fail => Err(Failure::Retry {
                error: "as told".into(),
                class: "told",
                http_status: None,
            }),
            Act::Panic => panic!("as told"),
            Act::Hang => std::future::pending().await,
            Act::NotYet => Err(Failure::Snooze {
                after: Duration::from_mins(1),
                reason: "not yet".to_owned(),
            }),
        }
    }
}

/// A [`Probe`] with a time limit that is soon reached, and that never ends by itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hang {}

impl Job for Hang {
    type Context = Context;
    type Error = Failure;
    const KIND: &'static str = "hang";
    const QUEUE: Queue = Queue::SYNC;
    const RETRY: RetryPolicy = Probe::RETRY;
    const TIMEOUT: Duration = Duration::from_millis(100);

    fn lane(&self) -> Lane {
        Lane::organization("a")
    }

    async fn run(&self, context: &Context, _: &mut Attempt) -> Result<(), Failure> {
        let body = std::future::pending();
        context.seen.run(0, context.worker, body).await
    }
}

/// Writes an effect behind the fence; run by the worker `frozen`, it first stops its process' only thread.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) number: u32,
}

impl Job for Write {
    type Context = Context;
    type Error = Failure;
    const KIND: &'static str = "write";
    const QUEUE: Queue = Queue::SYNC;
    const RETRY: RetryPolicy = Probe::RETRY;
    const TIMEOUT: Duration = Probe::TIMEOUT;

    fn lane(&self) -> Lane {
        Lane::organization("a")
    }

    async fn run(&self, context: &Context, attempt: &mut Attempt) -> Result<(), Failure> {
        let body = async {
            if context.worker == "frozen" {
                context.seen.freeze();
            }
            self.write(context, attempt).await
        };
        context.seen.run(self.number, context.worker, body).await
    }
}

impl Write {
    async fn write(&self, context: &Context, attempt: &mut Attempt) -> Result<(), Failure> {
        let mut tx = match attempt.begin().await {
            Ok(tx) => tx,
            Err(error) => {
                let (number, worker) = (self.number, context.worker);
                context.seen.note(number, worker, Step::Refused);
                return Err(error.into());
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a table of these tests alone")]
        let insert = sqlx::query("INSERT INTO effects (job, worker) VALUES ($1, $2)");
        insert
            .bind(i64::from(self.number))
            .bind(context.worker)
            .execute(&mut *tx)
            .await
            .unwrap();
        attempt.complete(tx, serde_json::Value::Null).await?;
        Ok(())
    }
}

/// A short poll, so that a test does not depend on wake-ups and does not wait for them.
pub(crate) fn settings() -> Settings {
    Settings {
        slots: BTreeMap::from([(Queue::SYNC, 16)]),
        poll_interval: Duration::from_millis(50),
        ..Settings::default()
    }
}

/// Our side of a test.
pub(crate) struct Ours {
    database: TestDatabase,
    pub(crate) client: Client,
    pub(crate) seen: Arc<Seen>,
}

impl Ours {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new().await;
        Self {
            client: Client::new(database.pool().clone()),
            seen: Seen::new(),
            database,
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) async fn add(&self, job: &NewJob) -> JobId {
        let mut connection = self.pool().acquire().await.unwrap();
        let added = enqueue(&mut *connection, job).await.unwrap();
        self.client.wake();
        added.id
    }

    pub(crate) async fn add_all(&self, jobs: &[NewJob]) -> Vec<JobId> {
        let mut connection = self.pool().acquire().await.unwrap();
        let added = enqueue_many(&mut *connection, jobs).await.unwrap();
        self.client.wake();
        added.iter().map(|added| added.id).collect()
    }

    /// Makes what stands for a job's effects: one row a committed effect.
    pub(crate) async fn make_effects(&self) {
        let sql = "CREATE TABLE effects (job bigint NOT NULL, worker text NOT NULL)";
        crate::stock::execute(self.pool(), sql).await;
    }

    /// Who committed effects of which job.
    pub(crate) async fn effects(&self) -> Vec<(i64, String)> {
        #[expect(clippy::disallowed_methods, reason = "a table of these tests alone")]
        let select = sqlx::query_as("SELECT job, worker FROM effects ORDER BY job, worker");
        select.fetch_all(self.pool()).await.unwrap()
    }

    pub(crate) async fn view(&self, id: JobId) -> JobView {
        self.client.get(id).await.unwrap().expect("the job is kept")
    }

    /// Waits until the job has ended.
    pub(crate) async fn ended(&self, id: JobId) -> JobView {
        let ended = self.client.wait(id, PATIENCE).await.unwrap();
        ended.expect("the job ends")
    }

    /// A worker in this process.
    pub(crate) async fn start(&self, name: &'static str, settings: Settings) -> Running {
        let seen = Arc::clone(&self.seen);
        start(&self.client, seen, name, settings).await
    }

    /// A worker in a process of its own.
    pub(crate) fn start_process(&self, name: &'static str, settings: Settings) -> Process {
        let (url, seen) = (self.database.url(), Arc::clone(&self.seen));
        Process::start(async move {
            let pool = PgPoolOptions::new().max_connections(4);
            let client = Client::new(pool.connect(&url).await.unwrap());
            let running = start(&client, seen, name, settings).await;
            running.apalis.await.unwrap();
        })
    }

    /// Ends the lease of every worker there is, without waiting for it.
    pub(crate) async fn end_leases(&self) {
        let silence = "UPDATE syncline.workers SET lease_until = now() - interval '1 day'";
        crate::stock::execute(self.pool(), silence).await;
    }
}

/// One number out of our tables.
pub(crate) async fn number(pool: &PgPool, sql: &'static str) -> f64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate's queries are not prepared"
    )]
    let query = sqlx::query_scalar(sql);
    query.fetch_one(pool).await.unwrap()
}

async fn start(
    client: &Client,
    seen: Arc<Seen>,
    name: &'static str,
    settings: Settings,
) -> Running {
    let registry = Arc::new(
        Registry::new()
            .register::<Probe>()
            .register::<Hang>()
            .register::<Write>(),
    );
    let (worker, backend) = Worker::start(client, &registry, settings).await.unwrap();
    let context = Context { seen, worker: name };
    let performer = Performer::new(registry, Arc::new(context));
    let apalis = WorkerBuilder::new(name).backend(backend).build(performer);
    #[expect(clippy::disallowed_methods, reason = "awaited by `drain`")]
    let apalis = tokio::spawn(async move { apalis.run().await.unwrap() });
    Running { worker, apalis }
}

/// A worker as a process runs it.
pub(crate) struct Running {
    worker: Worker,
    apalis: JoinHandle<()>,
}

impl Running {
    pub(crate) fn is_alive(&self) -> bool {
        !self.apalis.is_finished()
    }

    pub(crate) async fn drain(self) {
        self.worker.drain().await;
        self.apalis.await.unwrap();
    }
}
