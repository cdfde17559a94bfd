//! When work is found, and how much of it is taken on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apalis_postgres::Config;
use queue::{JobState, Queue, worker::Settings};
use sqlx::postgres::PgPoolOptions;
use test_support::TestDatabase;

use crate::{
    ours::{Ours, Probe, settings},
    seen::{Act, Seen, Step},
    stock::{self, Storage},
    until,
};

// An idle worker.

/// Two idle workers differ in their heartbeat alone: the one that beats finds its job, the other does not.
#[tokio::test(flavor = "multi_thread")]
async fn stock_an_idle_worker_finds_a_job_at_its_next_heartbeat_only() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    stock::storage(pool, Config::default()).await;
    // A pool that tells how often it was used: first to register, then to look for work in vain.
    let uses = Arc::new(AtomicUsize::new(0));
    let counting = PgPoolOptions::new().after_release({
        let uses = Arc::clone(&uses);
        move |_, _| {
            uses.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(true) })
        }
    });
    let counted = counting.connect(&database.url()).await.unwrap();
    let seen = Seen::new();
    let slow = stock::reach(
        &counted,
        Config::default().heartbeat_interval(Duration::from_hours(1)),
    );
    let slow = stock::Running::start(stock::monitor("slow", &slow, &seen, Act::Done));
    until("the slow one idles", || async {
        uses.load(Ordering::SeqCst) == 2
    })
    .await;

    stock::add(&stock::reach(pool, Config::default()), [1]).await;
    let brisk_config = stock::brisk().queue("other");
    let brisk_storage = Storage::new(pool).with_config(brisk_config);
    let brisk = stock::Running::start(stock::monitor("brisk", &brisk_storage, &seen, Act::Done));
    stock::add(&brisk_storage, 100..120).await;
    seen.until_so_many(Step::Ended, 20).await;

    assert_eq!(stock::row(pool, 1).await.status, "Pending");
    assert_eq!(seen.runs_of(1), 0);
    assert!(slow.is_alive());
    brisk.stop().await.unwrap();
    slow.stop().await.unwrap();
    assert_eq!(seen.runs_of(1), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_an_idle_worker_finds_a_job_long_before_it_renews_its_lease() {
    let ours = Ours::new().await;
    let settings = Settings {
        lease: Duration::from_hours(3),
        renew_interval: Duration::from_hours(1),
        ..settings()
    };
    let worker = ours.start("a", settings).await;

    // Idle before each: it is enqueued when the one before has ended.
    for number in 0..20 {
        let mut connection = ours.pool().acquire().await.unwrap();
        let job = Probe::new(number, Act::Done).job();
        // Without a wake-up: what polling finds is the truth.
        let added = queue::enqueue(&mut *connection, &job).await.unwrap();
        assert_eq!(ours.ended(added.id).await.state, JobState::Completed);
    }
    worker.drain().await;

    assert_eq!(ours.seen.runs(), 20);
}

// As many at once as nobody asked for.

const MANY: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn stock_runs_as_many_at_once_as_there_are() {
    let database = TestDatabase::new().await;
    let storage = stock::storage(database.pool(), Config::default()).await;
    let seen = Seen::new();
    stock::add(&storage, 0..u32::try_from(MANY).unwrap()).await;

    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Gate));
    seen.until_so_many(Step::Began, MANY).await;
    // Stopped gracefully it would never end: its events fill a channel that nobody reads any more.
    worker.kill().await;

    assert_eq!(seen.most_at_once(), MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_runs_as_many_at_once_as_there_are_slots() {
    let ours = Ours::new().await;
    let slots = Settings::default().slots[&Queue::SYNC];
    let jobs: Vec<_> = (0..u32::try_from(MANY).unwrap())
        .map(|number| Probe {
            lane: format!("lane {number}"),
            ..Probe::new(number, Act::Gate)
        })
        .map(|probe| probe.job())
        .collect();
    let ids = ours.add_all(&jobs).await;

    let worker = ours.start("a", Settings::default()).await;
    ours.seen.until_so_many(Step::Began, slots).await;
    ours.seen.gate.add_permits(MANY);
    for id in ids {
        assert_eq!(ours.ended(id).await.state, JobState::Completed);
    }
    worker.drain().await;

    assert_eq!(ours.seen.most_at_once(), slots);
}
