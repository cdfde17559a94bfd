//! What becomes of jobs as they are handed over: unique keys, and times.

use std::time::Duration;

use apalis::prelude::{TaskBuilder, TaskSink};
use apalis_postgres::{Config, PgTask};
use chrono::{DateTime, SubsecRound, Timelike};
use futures::stream;
use queue::{JobState, NewJob, enqueue_many};
use test_support::TestDatabase;

use crate::{
    ours::{Ours, Probe, settings},
    seen::{Act, Seen},
    stock, until,
};

// A key that is taken.

fn keyed(job: u32, key: &str) -> PgTask<u32> {
    TaskBuilder::new(job).idempotency_key(key).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_one_key_that_is_taken_fails_the_whole_batch_and_is_taken_for_ever() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut storage = stock::storage(pool, Config::default()).await;
    storage.push_task(keyed(1, "taken")).await.unwrap();

    let batch = [keyed(2, "free"), keyed(3, "taken"), keyed(4, "also free")];
    let pushed = storage.push_all(stream::iter(batch)).await;
    let after_the_batch = stock::count(pool).await;
    let seen = Seen::new();
    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Done));
    until("the first job is done", || async {
        stock::row(pool, 1).await.status == "Done"
    })
    .await;
    worker.stop().await.unwrap();
    let pushed_afterwards = storage.clone().push_task(keyed(5, "taken")).await;

    assert!(pushed.is_err());
    assert_eq!(
        after_the_batch, 1,
        "those with free keys are not there either"
    );
    assert!(pushed_afterwards.is_err(), "although its job is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_key_that_is_taken_hinders_nobody_and_is_free_again() {
    let ours = Ours::new().await;
    let keyed = |number, key: &str| {
        let unique = Some(key.to_owned());
        let probe = Probe {
            unique,
            ..Probe::new(number, Act::Done)
        };
        probe.job()
    };
    let first = ours.add(&keyed(1, "taken")).await;

    let batch = [keyed(2, "free"), keyed(3, "taken"), keyed(4, "also free")];
    let mut connection = ours.pool().acquire().await.unwrap();
    let pushed = enqueue_many(&mut *connection, &batch).await.unwrap();
    let worker = ours.start("a", settings()).await;
    for added in &pushed {
        assert_eq!(ours.ended(added.id).await.state, JobState::Completed);
    }
    let afterwards = enqueue_many(&mut *connection, &[keyed(5, "taken")])
        .await
        .unwrap();
    assert_eq!(
        ours.ended(afterwards[0].id).await.state,
        JobState::Completed
    );
    worker.drain().await;

    let are_new: Vec<_> = pushed.iter().map(|added| added.is_new).collect();
    assert_eq!(are_new, [true, false, true]);
    assert_eq!(pushed[1].id, first);
    assert!(afterwards[0].is_new);
    assert_eq!(ours.seen.runs(), 4);
}

// A time with a fraction.

/// In an hour from now by the machine's clock, with a fraction that no rounding hides.
fn in_an_hour() -> DateTime<chrono::Utc> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the stock storage knows no other clock"
    )]
    let now = chrono::Utc::now();
    now.trunc_subsecs(0) + Duration::from_hours(1) + Duration::from_micros(987_654)
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_time_loses_its_fraction_and_so_comes_early() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut storage = stock::storage(pool, Config::default()).await;
    let asked = in_an_hour();

    let job = TaskBuilder::new(1).run_at_time(asked.into()).build();
    storage.push_task(job).await.unwrap();

    let stored = stock::row(pool, 1).await.run_at;
    assert_eq!(stored.nanosecond(), 0);
    assert!(stored < asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_time_is_kept_to_the_microsecond() {
    let ours = Ours::new().await;
    let asked = in_an_hour();

    let job: NewJob = Probe::new(1, Act::Done).job().run_at(asked);
    let id = ours.add(&job).await;

    assert_eq!(ours.view(id).await.run_at, asked);
}
