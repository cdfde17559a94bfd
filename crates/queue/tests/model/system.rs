//! The queue itself: Postgres, and several workers driven by hand.

use std::{collections::HashMap, ops::Deref, rc::Rc, sync::Arc, time::Duration};

use queue::{
    Attempt, Client, Error, Failure, Job, JobId, Lane, NewJob, Queue, Registry, RetryPolicy,
    enqueue,
    pause::{self, Scope},
    testing::{self, LogicalWorker, Run},
};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use test_support::TestDatabase;
use tokio::runtime::Runtime;

use crate::reference::{
    AFTER_CRASH, AFTER_FAILURE, End, LATER, MAX_ATTEMPTS, Place, State, Step, WORKERS,
};

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    lane: usize,
    key: Option<u8>,
}

impl Job for Item {
    type Context = ();
    type Error = Failure;
    const KIND: &'static str = "item";
    const QUEUE: Queue = Queue::SYNC;
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: MAX_ATTEMPTS,
        ..RetryPolicy::STANDARD
    };

    fn lane(&self) -> Lane {
        lane(self.lane)
    }

    fn unique_key(&self) -> Option<String> {
        self.key.map(|key| key.to_string())
    }

    async fn run(&self, (): &(), _: &mut Attempt) -> Result<(), Failure> {
        unreachable!("the test says how runs end")
    }
}

fn lane(number: usize) -> Lane {
    Lane::organization(&number.to_string())
}

/// A database, and what reaches it.
pub(crate) struct Stage {
    client: Client,
    registry: Arc<Registry<()>>,
    database: TestDatabase,
    runtime: Runtime,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (database, client) = runtime.block_on(async {
            let database = TestDatabase::new().await;
            execute(&database, "CREATE TABLE effects (job_id uuid NOT NULL)").await;
            let client = Client::new(database.pool().clone());
            (database, client)
        });
        Self {
            client,
            registry: Arc::new(Registry::new().register::<Item>()),
            database,
            runtime,
        }
    }
}

/// The real thing, with the names the model has for what is in it.
pub(crate) struct System {
    stage: Rc<Stage>,
    workers: Vec<LogicalWorker>,
    runs: Vec<Run>,
    jobs: Vec<JobId>,
}

impl Deref for System {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl System {
    /// Nothing in it but its workers.
    pub(crate) fn new(stage: Rc<Stage>) -> Self {
        let workers = stage.runtime.block_on(async {
            execute(
                &stage.database,
                "DELETE FROM effects;
                DELETE FROM syncline.jobs;
                DELETE FROM syncline.unique_keys;
                DELETE FROM syncline.job_history;
                DELETE FROM syncline.job_attempts;
                DELETE FROM syncline.dead_jobs;
                DELETE FROM syncline.lanes;
                DELETE FROM syncline.pauses;
                DELETE FROM syncline.workers",
            )
            .await;
            let mut workers = Vec::new();
            for _ in 0..WORKERS {
                workers.push(LogicalWorker::register(&stage.client).await.unwrap());
            }
            workers
        });
        Self {
            stage,
            workers,
            runs: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Takes a step that the model has taken already.
    pub(crate) fn apply(&mut self, after: &State, step: &Step) {
        match step {
            Step::Enqueue {
                lane,
                key,
                is_later,
            } => self.enqueue(after, *lane, *key, *is_later),
            Step::Round(process) => {
                self.release(after, *process);
                self.claim(*process);
                self.start(after, *process);
            }
            Step::Claim(process) => self.claim(*process),
            Step::Start(process) => self.start(after, *process),
            Step::Release(process) => self.release(after, *process),
            Step::Renew(process) => {
                let renewing = self.workers[*process].renew();
                self.stage.runtime.block_on(renewing).unwrap();
            }
            Step::Expire(process) => self.expire(*process),
            Step::Rescue => self.rescue(),
            Step::Crash(process) => {
                self.expire(*process);
                self.workers[*process] = self.register();
            }
            Step::Drain(process) => self.drain(*process),
            Step::End(run, end) => {
                let number = run.index(self.runs.len());
                self.end(after, &self.runs[number], *end);
            }
            Step::Pause(number) => {
                let scope = Scope::Lane(lane(*number));
                let pausing = pause::pause(&self.client, &scope, "test", "told", None);
                self.runtime.block_on(pausing).unwrap();
            }
            Step::Resume(number) => {
                let scope = Scope::Lane(lane(*number));
                let resuming = pause::resume(&self.client, &scope, "test");
                self.runtime.block_on(resuming).unwrap();
            }
            Step::MoveClock(hours) => self.advance(*hours),
        }
    }

    fn register(&self) -> LogicalWorker {
        let registering = LogicalWorker::register(&self.client);
        self.runtime.block_on(registering).unwrap()
    }

    fn advance(&self, hours: u32) {
        let moving = testing::advance(self.database.pool(), HOUR * hours);
        self.runtime.block_on(moving).unwrap();
    }

    fn enqueue(&mut self, after: &State, lane: usize, key: Option<u8>, is_later: bool) {
        let mut job = NewJob::new(&Item { lane, key }).unwrap();
        if is_later {
            job = job.run_after(HOUR * LATER);
        }
        let added = self.runtime.block_on(async {
            let mut connection = self.database.pool().acquire().await.unwrap();
            enqueue(&mut *connection, &job).await.unwrap()
        });
        if added.is_new {
            self.jobs.push(added.id);
        }
        let holder = self.jobs.iter().position(|id| *id == added.id);
        assert_eq!(holder, after.holder, "who holds the key");
    }

    fn claim(&mut self, process: usize) {
        let claiming = self.workers[process].claim();
        self.stage.runtime.block_on(claiming).unwrap();
    }

    fn start(&mut self, after: &State, process: usize) {
        let starting = self.workers[process].start();
        let mut started = self.stage.runtime.block_on(starting).unwrap();
        let number = |run: &Run| self.jobs.iter().position(|id| *id == run.job_id()).unwrap();
        started.sort_by_key(number);
        let numbers: Vec<_> = started.iter().map(number).collect();
        assert_eq!(numbers, after.started, "what is started");
        self.runs.extend(started);
    }

    fn release(&mut self, after: &State, process: usize) {
        let worker = after.processes[process];
        let running: Vec<_> = after
            .runs_of(worker)
            .into_iter()
            // Those that are still to be started are not known yet.
            .filter_map(|run| self.runs.get(run))
            .collect();
        let releasing = self.workers[process].release(&running);
        self.stage.runtime.block_on(releasing).unwrap();
    }

    fn expire(&self, process: usize) {
        let id: uuid::Uuid = self.workers[process].id().to_string().parse().unwrap();
        let expiring = sqlx::query!(
            "UPDATE syncline.workers SET lease_until = now() - interval '1 s' WHERE id = $1",
            id
        );
        let expiring = expiring.execute(self.database.pool());
        self.runtime.block_on(expiring).unwrap();
    }

    /// The delay of those that crashed is drawn by chance: it is set to what the model says.
    fn rescue(&self) {
        self.runtime.block_on(async {
            let crashed =
                sqlx::query_scalar!(r#"SELECT id FROM syncline.jobs WHERE started_at IS NOT NULL"#);
            let running = crashed.fetch_all(self.database.pool()).await.unwrap();
            self.workers[0].rescue().await.unwrap();
            self.pin(&running, AFTER_CRASH).await;
        });
    }

    async fn pin(&self, ids: &[uuid::Uuid], hours: u32) {
        sqlx::query!(
            r#"
            UPDATE syncline.jobs
            SET run_at = now() + make_interval(hours => $2)
            WHERE id = ANY ($1) AND started_at IS NULL
            "#,
            ids,
            i32::try_from(hours).unwrap(),
        )
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    fn drain(&mut self, process: usize) {
        let successor = self.register();
        let worker = std::mem::replace(&mut self.workers[process], successor);
        let runs = self.runs.clone();
        self.runtime.block_on(async {
            let mut worker = worker;
            for run in runs.iter().filter(|run| run.worker_id() == worker.id()) {
                run.hand_back().await.unwrap();
            }
            worker.release(&[]).await.unwrap();
            worker.sign_off().await.unwrap();
        });
    }

    fn end(&self, after: &State, run: &Run, end: End) {
        self.runtime.block_on(async {
            let answer = match end {
                End::Write => {
                    assert_eq!(!self.write(run).await, after.is_refused, "the fence");
                    return;
                }
                End::HandBack => return run.hand_back().await.unwrap(),
                End::Complete => Ok(()),
                End::Fail => Err(Failure::Retry {
                    error: "as told".into(),
                    class: "told",
                    http_status: None,
                }),
                End::Snooze => Err(Failure::Snooze {
                    after: HOUR * LATER,
                    reason: "as told".to_owned(),
                }),
                End::Cancel => Err(Failure::Cancel {
                    error: "as told".into(),
                    class: "told",
                }),
            };
            run.settle(&self.registry, answer).await.unwrap();
            if matches!(end, End::Fail) && !after.is_refused {
                self.pin(&[uuid(run.job_id())], AFTER_FAILURE).await;
            }
        });
    }

    async fn write(&self, run: &Run) -> bool {
        let mut attempt = run.attempt();
        let mut tx = match attempt.begin().await {
            Ok(tx) => tx,
            Err(Error::Fenced { .. }) => return false,
            Err(error) => panic!("cannot pass the fence: {error}"),
        };
        #[expect(clippy::disallowed_methods, reason = "a table of these tests alone")]
        let insert = sqlx::query("INSERT INTO effects (job_id) VALUES ($1)");
        insert
            .bind(uuid(run.job_id()))
            .execute(&mut *tx)
            .await
            .unwrap();
        attempt.complete(tx, serde_json::Value::Null).await.unwrap();
        true
    }

    /// Fails unless everything is as the model says.
    pub(crate) fn compare(&self, expected: &State) {
        self.runtime.block_on(async {
            let stored = self.stored().await;
            assert_eq!(
                stored.len(),
                expected.jobs.len(),
                "each job is in one place"
            );
            for (number, job) in expected.jobs.iter().enumerate() {
                let row = &stored[&uuid(self.jobs[number])];
                let place = match job.place {
                    Place::Waiting => "waiting",
                    Place::Running(_) => "running",
                    Place::Completed => "completed",
                    Place::Cancelled => "cancelled",
                    Place::Dead => "dead",
                };
                let wanted = Row {
                    id: row.id,
                    place: place.to_owned(),
                    attempts: i16::try_from(job.attempts).unwrap(),
                    recorded: i64::try_from(job.recorded).unwrap(),
                    effects: i64::try_from(job.effects).unwrap(),
                };
                assert_eq!(*row, wanted, "job {number}");
            }
            self.compare_lanes(expected).await;
            self.compare_keys(expected).await;
        });
    }

    /// Every job, wherever it stands.
    async fn stored(&self) -> HashMap<uuid::Uuid, Row> {
        #[expect(
            clippy::disallowed_methods,
            reason = "reads a table of these tests alone"
        )]
        let select = sqlx::query_as(
            "SELECT id, place, attempt AS attempts,
                coalesce(recorded.count, 0) AS recorded, coalesce(written.count, 0) AS effects
            FROM (
                SELECT
                    id, attempt,
                    CASE WHEN started_at IS NULL THEN 'waiting' ELSE 'running' END AS place
                FROM syncline.jobs
                UNION ALL
                SELECT id, attempt, state FROM syncline.job_history
                UNION ALL
                SELECT id, attempt, 'dead' FROM syncline.dead_jobs
            ) AS everywhere
            LEFT JOIN (
                SELECT job_id AS id, count(*) FROM syncline.job_attempts GROUP BY job_id
            ) AS recorded USING (id)
            LEFT JOIN (
                SELECT job_id AS id, count(*) FROM effects GROUP BY job_id
            ) AS written USING (id)",
        );
        let rows: Vec<Row> = select.fetch_all(self.database.pool()).await.unwrap();
        let count = rows.len();
        let stored: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        assert_eq!(stored.len(), count, "no job is in two places");
        stored
    }

    async fn compare_lanes(&self, expected: &State) {
        let owned = sqlx::query_scalar!(
            "SELECT lane FROM syncline.lanes WHERE owner IS NOT NULL ORDER BY lane"
        );
        let owned = owned.fetch_all(self.database.pool()).await.unwrap();
        let lanes = expected.lanes.iter().enumerate();
        let wanted: Vec<_> = lanes
            .filter(|(_, lane)| lane.owner.is_some())
            .map(|(number, _)| lane(number).as_str().to_owned())
            .collect();
        assert_eq!(owned, wanted, "lanes that are owned");
    }

    async fn compare_keys(&self, expected: &State) {
        let held = sqlx::query!("SELECT unique_key, job_id FROM syncline.unique_keys ORDER BY 1");
        let held = held.fetch_all(self.database.pool()).await.unwrap();
        let held: Vec<_> = held
            .into_iter()
            .map(|row| (row.unique_key, row.job_id.to_string()))
            .collect();
        let keys = expected.keys.iter().enumerate();
        let wanted: Vec<_> = keys
            .filter_map(|(key, holder)| Some((key.to_string(), self.jobs[(*holder)?].to_string())))
            .collect();
        assert_eq!(held, wanted, "keys that are held");
    }

    /// Promise P2: whatever happened, a worker that comes now brings every job to its end.
    pub(crate) fn end_all(&mut self, last: &State) {
        for process in 0..WORKERS {
            self.expire(process);
        }
        for number in 0..last.lanes.len() {
            self.apply(last, &Step::Resume(number));
        }
        self.runtime.block_on(async {
            let mut worker = LogicalWorker::register(&self.client).await.unwrap();
            worker.rescue().await.unwrap();
            for _ in 0..2 {
                testing::advance(self.database.pool(), HOUR * 1_000)
                    .await
                    .unwrap();
                worker.claim().await.unwrap();
                for run in worker.start().await.unwrap() {
                    run.settle(&self.registry, Ok(())).await.unwrap();
                }
                worker.release(&[]).await.unwrap();
            }
            for row in self.stored().await.values() {
                let has_ended = !["waiting", "running"].contains(&&*row.place);
                assert!(has_ended, "never ends: {row:?}");
                assert!(row.effects <= 1, "{row:?}");
            }
        });
    }
}

/// What is stored of a job.
#[derive(Debug, PartialEq, Eq, FromRow)]
struct Row {
    id: uuid::Uuid,
    place: String,
    attempts: i16,
    /// Attempts that did not end it.
    recorded: i64,
    effects: i64,
}

fn uuid(id: JobId) -> uuid::Uuid {
    id.to_string().parse().unwrap()
}

async fn execute(database: &TestDatabase, sql: &'static str) {
    #[expect(clippy::disallowed_methods, reason = "a table of these tests alone")]
    let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    statement.execute(database.pool()).await.unwrap();
}
