//! A job for this crate's own tests: its payload says how it is to behave.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{
    Attempt, Failure, Job, JobId, Lane, NewJob, Queue, Registry, RetryPolicy, UniqueWhile, enqueue,
    limiter::{Rate, SharedLimiter},
    notes,
    worker::{Ready, Settings, claim, lease, start},
};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    #[default]
    Done,
    Effect,
    Fail,
    Panic,
    Gate,
    SnoozeMs(u64),
    ParkMs(u64),
    Cancel,
    /// Makes so many requests, logs as many lines, and fails.
    Tell(u16),
    /// The same, and is done.
    TellDone(u16),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Probe {
    #[serde(default)]
    pub(crate) lane: String,
    #[serde(default)]
    pub(crate) act: Act,
    #[serde(default)]
    pub(crate) unique: Option<String>,
    #[serde(default)]
    pub(crate) limit: Option<String>,
}

impl Probe {
    pub(crate) fn in_lane(lane: &str, act: Act) -> Self {
        Self {
            lane: lane.to_owned(),
            act,
            ..Self::default()
        }
    }
}

/// What the tests see of the runs.
pub(crate) struct Seen {
    pub(crate) runs: Mutex<HashMap<JobId, usize>>,
    running: Mutex<HashMap<String, usize>>,
    pub(crate) most_running: Mutex<HashMap<String, usize>>,
    pub(crate) begun: Semaphore,
    pub(crate) gate: Semaphore,
}

impl Seen {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            runs: Mutex::default(),
            running: Mutex::default(),
            most_running: Mutex::default(),
            begun: Semaphore::new(0),
            gate: Semaphore::new(0),
        })
    }

    fn enter(&self, job: &Probe, id: JobId) {
        *self.runs.lock().unwrap().entry(id).or_default() += 1;
        let mut running = self.running.lock().unwrap();
        let mut most = self.most_running.lock().unwrap();
        for key in job.keys() {
            let now = running.entry(key.clone()).or_default();
            *now += 1;
            let most = most.entry(key).or_default();
            *most = (*most).max(*now);
        }
    }

    fn leave(&self, job: &Probe) {
        let mut running = self.running.lock().unwrap();
        for key in job.keys() {
            *running.entry(key).or_default() -= 1;
        }
    }
}

impl Probe {
    fn keys(&self) -> Vec<String> {
        let limit = self
            .limit
            .as_ref()
            .map(|limit| format!("{}/{limit}", self.lane));
        std::iter::once(self.lane.clone()).chain(limit).collect()
    }
}

impl Job for Probe {
    type Context = Seen;
    type Error = Failure;
    const KIND: &'static str = "probe";
    const QUEUE: Queue = Queue::SYNC;
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 3,
        base: Duration::from_mins(1),
        cap: Duration::from_mins(10),
    };

    fn lane(&self) -> Lane {
        Lane::organization(&self.lane)
    }

    fn unique_key(&self) -> Option<String> {
        self.unique.clone()
    }

    fn limit_key(&self) -> Option<String> {
        self.limit.clone()
    }

    async fn run(&self, seen: &Seen, attempt: &mut Attempt) -> Result<(), Failure> {
        seen.enter(self, attempt.job_id());
        seen.begun.add_permits(1);
        let answer = self.act(seen, attempt).await;
        seen.leave(self);
        answer
    }
}

impl Probe {
    async fn act(&self, seen: &Seen, attempt: &mut Attempt) -> Result<(), Failure> {
        let error = || "as told".into();
        match self.act {
            Act::Done => Ok(()),
            Act::Effect => {
                let mut tx = attempt.begin().await?;
                note_effect(&mut tx, attempt.job_id()).await;
                attempt
                    .complete(tx, serde_json::json!({"seen": true}))
                    .await?;
                Ok(())
            }
            Act::Fail => Err(Failure::Retry {
                error: error(),
                class: "told",
                http_status: Some(500),
            }),
            Act::Panic => panic!("as told"),
            Act::Gate => {
                seen.gate.acquire().await.unwrap().forget();
                Ok(())
            }
            Act::SnoozeMs(ms) => Err(Failure::Snooze {
                after: Duration::from_millis(ms),
                reason: "not yet".to_owned(),
            }),
            Act::ParkMs(ms) => Err(Failure::Park {
                after: Duration::from_millis(ms),
                reason: "silence".to_owned(),
            }),
            Act::Tell(times) => {
                tell(times);
                Err(Failure::Retry {
                    error: error(),
                    class: "told",
                    http_status: Some(500),
                })
            }
            Act::TellDone(times) => {
                tell(times);
                Ok(())
            }
            Act::Cancel => Err(Failure::Cancel {
                error: error(),
                class: "told",
            }),
        }
    }
}

fn tell(times: u16) {
    for n in 0..times {
        let (path, request_id) = (format!("path/{n}"), format!("request {n}"));
        notes::request(
            "GET",
            &path,
            Some(500),
            Duration::from_millis(7),
            Some(&request_id),
        );
        notes::line("WARN", || format!("line {n}"));
    }
}

/// A job of which there is only one, pending or running.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Single {}

impl Job for Single {
    type Context = Seen;
    type Error = Failure;
    const KIND: &'static str = "single";
    const QUEUE: Queue = Queue::SYNC;
    const UNIQUE: UniqueWhile = UniqueWhile::PendingOrRunning;

    fn lane(&self) -> Lane {
        Lane::system()
    }

    fn unique_key(&self) -> Option<String> {
        Some("the one".to_owned())
    }

    async fn run(&self, _seen: &Seen, _attempt: &mut Attempt) -> Result<(), Failure> {
        Ok(())
    }
}

/// A table of the tests' own stands in for a job's effects: one row a committed effect.
pub(crate) async fn make_effects(pool: &PgPool) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a table that exists in these tests only"
    )]
    sqlx::query("CREATE TABLE effects (job_id uuid NOT NULL)")
        .execute(pool)
        .await
        .unwrap();
}

pub(crate) async fn note_effect(connection: &mut sqlx::PgConnection, id: JobId) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a table that exists in these tests only"
    )]
    let insert = sqlx::query("INSERT INTO effects (job_id) VALUES ($1)");
    insert.bind(id.0).execute(connection).await.unwrap();
}

pub(crate) async fn effects(pool: &PgPool) -> Vec<uuid::Uuid> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a table that exists in these tests only"
    )]
    let select = sqlx::query_scalar("SELECT job_id FROM effects");
    select.fetch_all(pool).await.unwrap()
}

pub(crate) fn registry() -> Arc<Registry<Seen>> {
    Arc::new(Registry::new().register::<Probe>().register::<Single>())
}

/// Enqueues in a transaction of its own.
pub(crate) async fn add(pool: &PgPool, job: &Probe) -> JobId {
    let mut connection = pool.acquire().await.unwrap();
    enqueue(&mut *connection, &NewJob::new(job).unwrap())
        .await
        .unwrap()
        .id
}

/// A worker by hand: registered, and nothing more.
pub(crate) async fn worker(pool: &PgPool) -> crate::WorkerId {
    lease::register(pool, &Settings::default()).await.unwrap()
}

/// All that is due in a lane, to be started.
pub(crate) async fn due_in(pool: &PgPool, lane: &claim::Claimed) -> start::Chosen {
    let served = Settings::default().served();
    let due = start::due(pool, &[(lane.lane.clone(), 100)], &served)
        .await
        .unwrap();
    let mut chosen = start::Chosen::default();
    for job in due {
        chosen.push(job, lane.epoch);
    }
    chosen
}

/// Claims everything due and starts it; the attempts are left to the test.
pub(crate) async fn claim_and_start(
    client: &crate::Client,
    worker: crate::WorkerId,
) -> Vec<(Ready, Attempt)> {
    let pool = client.pool();
    let want = claim::Want {
        urgent: 0,
        any: 100,
    };
    let claimed = claim::claim(pool, worker, want, &[], 0).await.unwrap();
    let mut all = Vec::new();
    for lane in claimed {
        let jobs = due_in(pool, &lane).await;
        for job in start::start(pool, worker, &jobs).await.unwrap() {
            let rate = Rate {
                per_minute: 1_000,
                burst: 100,
            };
            let limiter = SharedLimiter::new(rate, Duration::ZERO);
            let stop = crate::worker::Stop::default();
            let attempt = Attempt::new(
                Arc::clone(&job),
                client.clone(),
                limiter.clone(),
                None,
                stop.token().clone(),
            );
            let client = client.clone();
            all.push((
                Ready {
                    job,
                    client,
                    limiter,
                    purse: None,
                    stop,
                    ticket: None,
                },
                attempt,
            ));
        }
    }
    all
}

/// Lets a worker's lease run out.
pub(crate) async fn expire(pool: &PgPool, worker: crate::WorkerId) {
    #[expect(
        clippy::disallowed_methods,
        reason = "reaches into a table as no product code does"
    )]
    let update = sqlx::query(
        "UPDATE syncline.workers SET lease_until = now() - interval '1 s' WHERE id = $1",
    );
    update.bind(worker.0).execute(pool).await.unwrap();
}
