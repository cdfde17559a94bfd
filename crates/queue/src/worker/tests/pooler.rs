//! Through a real PgBouncer in transaction mode; only the listener is connected directly.

use sqlx::postgres::PgPoolOptions;
use test_support::TestPooler;

use super::*;
use crate::{
    Job as _, Lane, ScheduleSpec,
    client::Listen,
    schedule::{self, By, Schedule},
};

/// A database, a pooler before it, and a client through that.
struct Pooled {
    database: TestDatabase,
    _pooler: TestPooler,
    client: Client,
}

impl Pooled {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        let pooler = TestPooler::before(&database.url(), 3).await;
        let client = Self::client(&database, &pooler);
        Self {
            database,
            _pooler: pooler,
            client,
        }
    }

    fn client(database: &TestDatabase, pooler: &TestPooler) -> Client {
        let relayed = pooler_relay::through(pooler.options()).unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(6)
            .connect_lazy_with(relayed);
        Client::listening(
            pool,
            Listen::Directly(Box::new(database.url().parse().unwrap())),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_done_once_through_a_pooler() {
    let Pooled {
        database, client, ..
    } = &Pooled::new().await;
    probe::make_effects(database.pool()).await;
    let seen = Seen::new();
    let first = Running::start(client, &seen, quick_settings()).await;
    let second = Running::start(client, &seen, quick_settings()).await;

    let mut added = Vec::new();
    for lane in 0..10 {
        let job = Probe::in_lane(&format!("lane-{lane}"), Act::Effect);
        let jobs = vec![NewJob::new(&job).unwrap(); 10];
        let mut tx = client.pool().begin().await.unwrap();
        added.extend(enqueue_many(&mut tx, &jobs).await.unwrap());
        tx.commit().await.unwrap();
        client.wake();
    }
    for job in &added {
        assert_eq!(ended(client, job.id).await.state, JobState::Completed);
    }
    first.drain().await;
    second.drain().await;

    assert_eq!(probe::effects(database.pool()).await.len(), added.len());
    assert!(seen.runs.lock().unwrap().values().all(|runs| *runs == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_written_through_a_pooler() {
    let Pooled {
        database, client, ..
    } = &Pooled::new().await;
    let (pool, seen) = (client.pool(), Seen::new());
    let fails = probe::add(pool, &Probe::in_lane("a", Act::Fail)).await;
    let panics = probe::add(pool, &Probe::in_lane("b", Act::Panic)).await;
    let is_cancelled = probe::add(pool, &Probe::in_lane("c", Act::Cancel)).await;
    let snoozes = probe::add(pool, &Probe::in_lane("d", Act::SnoozeMs(1_000))).await;
    let parks = probe::add(pool, &Probe::in_lane("e", Act::ParkMs(1_000))).await;
    let worker = Running::start(client, &seen, quick_settings()).await;

    assert_eq!(ended(client, is_cancelled).await.state, JobState::Cancelled);
    for job in [fails, panics] {
        // Retried twice, each time after a minute or more.
        let view = loop {
            testing::advance(database.pool(), Duration::from_mins(20))
                .await
                .unwrap();
            client.wake();
            let waited = client.wait(job, Duration::from_millis(200)).await.unwrap();
            if let Some(view) = waited {
                break view;
            }
        };
        assert_eq!(view.state, JobState::Dead);
        assert_eq!(view.attempts.len(), 3);
    }
    let runs = |id| seen.runs.lock().unwrap().get(&id).copied().unwrap_or(0);
    while runs(snoozes) < 2 || runs(parks) < 2 {
        seen.begun.acquire().await.unwrap().forget();
    }
    worker.drain().await;

    let view = client.get(snoozes).await.unwrap().unwrap();
    assert_eq!(view.attempt, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_behind_a_pooler_hears_other_processes_by_its_direct_connection() {
    let Pooled {
        database,
        client,
        _pooler: pooler,
    } = &Pooled::new().await;
    let other = Pooled::client(database, pooler);
    let settings = Settings {
        poll_interval: Duration::from_hours(1),
        ..quick_settings()
    };
    let worker = Running::start(client, &Seen::new(), settings).await;

    for _ in 0..3 {
        let id = probe::add(other.pool(), &Probe::in_lane("a", Act::Done)).await;
        // Said again: the worker may not listen yet.
        let view = loop {
            other.wake();
            let waited = other.wait(id, Duration::from_secs(1)).await.unwrap();
            if let Some(view) = waited {
                break view;
            }
        };
        assert_eq!(view.state, JobState::Completed);
    }
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_fire_and_are_changed_through_a_pooler() {
    let Pooled {
        database, client, ..
    } = &Pooled::new().await;
    let pool = client.pool();
    let by = By {
        name: "ada",
        reason: "a test",
    };
    let schedules = [Schedule::of::<Tick>(ScheduleSpec::new("*/5 * * * *")).unwrap()];

    schedule::sync(&mut pool.acquire().await.unwrap(), &schedules)
        .await
        .unwrap();
    testing::advance(database.pool(), Duration::from_mins(5))
        .await
        .unwrap();
    let fired = schedule::fire_due(&mut pool.acquire().await.unwrap(), &schedules)
        .await
        .unwrap();
    schedule::pause(pool, Tick::KIND, by, None).await.unwrap();
    schedule::resume(pool, Tick::KIND, by).await.unwrap();
    let run = schedule::run_now(pool, &schedules, Tick::KIND, by)
        .await
        .unwrap();

    assert_eq!(fired.jobs, 1);
    assert!(run.is_new);
    let listed = schedule::list(pool).await.unwrap();
    assert_eq!(listed[0].last_job_id, Some(run.id));
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Tick {}

impl crate::Job for Tick {
    type Context = Seen;
    type Error = Failure;
    const KIND: &'static str = "tick";
    const QUEUE: Queue = Queue::MAINTENANCE;

    fn lane(&self) -> Lane {
        Lane::system()
    }

    async fn run(&self, _: &Seen, _: &mut crate::Attempt) -> Result<(), Failure> {
        Ok(())
    }
}
