//! The worker's promises, on a real Postgres.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apalis_core::worker::builder::WorkerBuilder;
use sqlx::PgPool;
use test_support::TestDatabase;

use super::*;
use crate::{
    Failure, JobId, JobState, NewJob,
    backend::Performer,
    enqueue, enqueue_many,
    rollups::{self, Measure, Window},
    testing::{
        self,
        probe::{self, Act, Probe, Seen},
    },
};

mod connections;
mod crashes;
mod notes;
mod operations;
mod outcomes;
mod pooler;

fn client(pool: &PgPool) -> Client {
    Client::new(pool.clone())
}

fn quick_settings() -> Settings {
    Settings {
        slots: BTreeMap::from([(Queue::SYNC, 8), (Queue::INTERACTIVE, 2)]),
        poll_interval: Duration::from_millis(50),
        ..Settings::default()
    }
}

/// A worker as a process runs it, under apalis.
struct Running {
    worker: Worker,
    apalis: JoinHandle<()>,
}

impl Running {
    async fn start(client: &Client, seen: &Arc<Seen>, settings: Settings) -> Self {
        let registry = probe::registry();
        let (worker, backend) = Worker::start(client, &registry, settings).await.unwrap();
        let performer = Performer::new(registry, Arc::clone(seen));
        let apalis = WorkerBuilder::new("test").backend(backend).build(performer);
        #[expect(clippy::disallowed_methods, reason = "awaited by `drain`")]
        let apalis = tokio::spawn(async move { apalis.run().await.unwrap() });
        Self { worker, apalis }
    }

    async fn drain(self) {
        self.worker.drain().await;
        self.apalis.await.unwrap();
    }
}

async fn ended(client: &Client, id: JobId) -> crate::JobView {
    client
        .wait(id, Duration::from_secs(30))
        .await
        .unwrap()
        .expect("the job ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_every_job_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let jobs: Vec<_> = (0..300)
        .map(|n| NewJob::new(&Probe::in_lane(&format!("lane-{}", n % 20), Act::Effect)).unwrap())
        .collect();
    let added = enqueue_many(&mut *pool.acquire().await.unwrap(), &jobs)
        .await
        .unwrap();
    let (client, seen) = (client(pool), Seen::new());

    // Of a worker that is kept from renewing its lease the other takes over, and runs what ran there once more.
    let healthy = Settings {
        lease: Duration::from_mins(10),
        ..quick_settings()
    };
    let first = Running::start(&client, &seen, healthy.clone()).await;
    let second = Running::start(&client, &seen, healthy).await;
    for job in &added {
        assert_eq!(ended(&client, job.id).await.state, JobState::Completed);
    }
    first.drain().await;
    second.drain().await;

    assert_eq!(probe::effects(pool).await.len(), added.len());
    assert!(seen.runs.lock().unwrap().values().all(|runs| *runs == 1));
    let most = seen.most_running.lock().unwrap();
    assert!(most.values().all(|running| *running <= 4), "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_one_limit_key_run_one_after_another() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        limit: Some("Employee".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let jobs: Vec<_> = (0..20).map(|_| NewJob::new(&job).unwrap()).collect();
    let added = enqueue_many(&mut *pool.acquire().await.unwrap(), &jobs)
        .await
        .unwrap();
    let (client, seen) = (client(pool), Seen::new());

    let worker = Running::start(&client, &seen, quick_settings()).await;
    for job in &added {
        ended(&client, job.id).await;
    }
    worker.drain().await;

    assert_eq!(seen.most_running.lock().unwrap()["a/Employee"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_hands_back_what_runs_with_its_attempt() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, seen) = (client(pool), Seen::new());
    let settings = Settings {
        drain_deadline: Duration::ZERO,
        ..quick_settings()
    };
    let worker = Running::start(&client, &seen, settings).await;
    seen.begun.acquire().await.unwrap().forget();

    worker.drain().await;

    let job = client.get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Available, 0));
    let (lanes, workers) = leases(pool).await;
    assert_eq!((lanes, workers), (0, 0), "no lane is owned, no worker runs");
}

/// Lanes that are owned, workers that run.
async fn leases(pool: &PgPool) -> (i64, i64) {
    let lanes = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM syncline.lanes WHERE owner IS NOT NULL"#
    );
    let workers = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM syncline.workers WHERE ended_at IS NULL"#
    );
    (
        lanes.fetch_one(pool).await.unwrap(),
        workers.fetch_one(pool).await.unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_with_a_backlog_does_not_hold_up_the_others() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let crowd: Vec<_> = (0..500)
        .map(|_| NewJob::new(&Probe::in_lane("crowded", Act::Done)).unwrap())
        .collect();
    let crowded = enqueue_many(&mut *pool.acquire().await.unwrap(), &crowd)
        .await
        .unwrap();
    let lone = probe::add(pool, &Probe::in_lane("lone", Act::Done)).await;
    let (client, seen) = (client(pool), Seen::new());
    // One slot, so the crowded lane could keep it for itself.
    let slots = BTreeMap::from([(Queue::SYNC, 1)]);
    let settings = Settings {
        slots,
        quantum: 5,
        ..quick_settings()
    };

    let worker = Running::start(&client, &seen, settings).await;
    ended(&client, lone).await;
    let before = seen.runs.lock().unwrap().len();
    worker.drain().await;

    assert!(
        before < crowded.len() / 2,
        "{before} jobs ran before the other lane's"
    );
}

#[tokio::test]
async fn a_job_enqueued_while_its_lane_is_let_go_is_not_forgotten() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let worker = probe::worker(pool).await;
    let want = claim::Want { urgent: 0, any: 10 };
    let claimed = claim::claim(pool, worker, want, &[], 0)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let served = Settings::default().served();
    let mut due = start::due(pool, &[(claimed.lane.clone(), 10)], &served)
        .await
        .unwrap();
    let mut first = start::Chosen::default();
    first.push(due.remove(0), claimed.epoch);
    let started = start::start(pool, worker, &first).await.unwrap();
    let registry = probe::registry();
    settle::write_one(
        pool,
        &registry,
        Arc::clone(&started[0]),
        Ok(Completion::Done),
    )
    .await
    .unwrap();
    let releasable = || release::Releasable {
        lane: claimed.lane.clone(),
        epoch: claimed.epoch,
        limiter_ahead: Duration::ZERO,
        is_doubtful: false,
    };

    let mut enqueuing = pool.begin().await.unwrap();
    let next = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    enqueue(&mut *enqueuing, &next).await.unwrap();
    let released_meanwhile = release::release(
        &mut pool.acquire().await.unwrap(),
        worker,
        &[releasable()],
        &Settings::default().served(),
    )
    .await
    .unwrap();
    enqueuing.commit().await.unwrap();
    let released_afterwards = release::release(
        &mut pool.acquire().await.unwrap(),
        worker,
        &[releasable()],
        &Settings::default().served(),
    )
    .await
    .unwrap();

    assert!(
        released_meanwhile.is_empty(),
        "the lane is locked by who enqueues"
    );
    assert_eq!(released_afterwards.len(), 1);
    assert_eq!(
        look::look(pool, worker).await.unwrap().next_due,
        Some(Duration::ZERO),
        "the new job is due"
    );
}

#[tokio::test]
async fn a_job_whose_key_is_enqueued_again_starts_only_after_that_commit() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("poll".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let id = probe::add(pool, &job).await;
    let client = client(pool);
    let worker = probe::worker(pool).await;

    let mut enqueuing = pool.begin().await.unwrap();
    let again = enqueue(&mut *enqueuing, &NewJob::new(&job).unwrap())
        .await
        .unwrap();
    let want = claim::Want { urgent: 0, any: 10 };
    let claimed = claim::claim(pool, worker, want, &[], 0)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let start_due = async || {
        let due = probe::due_in(pool, &claimed).await;
        assert!(!due.is_empty(), "the job is due all the time");
        start::start(pool, worker, &due).await.unwrap()
    };
    let started_meanwhile = start_due().await;
    enqueuing.commit().await.unwrap();
    let started_afterwards = start_due().await;
    let follow_up = probe::add(pool, &job).await;

    assert_eq!((again.id, again.is_new), (id, false));
    assert!(started_meanwhile.is_empty());
    assert_eq!(started_afterwards.len(), 1);
    assert_ne!(follow_up, id, "the key is free while its job runs");
    drop(client);
}

#[tokio::test]
async fn a_twin_that_waits_does_not_hinder_the_retry() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("poll".to_owned()),
        ..Probe::in_lane("a", Act::Fail)
    };
    probe::add(pool, &job).await;
    let client = client(pool);
    let worker = probe::worker(pool).await;
    let (ready, _) = probe::claim_and_start(&client, worker).await.pop().unwrap();
    let twin = probe::add(pool, &job).await;
    let failure = Failure::Retry {
        error: "x".into(),
        class: "told",
        http_status: None,
    };

    settle::write_one(pool, &probe::registry(), ready.job, Err(failure))
        .await
        .unwrap();

    let pending = testing::pending(pool, "probe").await.unwrap();
    assert_eq!(pending.len(), 2);
    assert!(pending.iter().any(|(id, _)| *id == twin));
}
