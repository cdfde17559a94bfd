//! Running again: after a failure, after "not yet", after a crash.

use std::time::Duration;

use apalis::prelude::{TaskBuilder, TaskSink};
use apalis_postgres::Config;
use queue::JobState;
use test_support::TestDatabase;

use crate::{
    ours::{Ours, Probe, settings},
    seen::{Act, Seen, Step},
    stock, until,
};

// A failure.

#[tokio::test(flavor = "multi_thread")]
async fn stock_ten_attempts_are_used_up_without_any_delay() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut storage = stock::storage(pool, Config::default()).await;
    let job = TaskBuilder::new(1).max_attempts(10).build();
    storage.push_task(job).await.unwrap();
    let before = stock::row(pool, 1).await;
    let seen = Seen::new();

    // With the default heartbeat, thirty seconds: nothing but the failures themselves drives it on.
    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Fail));
    seen.until_so_many(Step::Ended, 10).await;
    worker.stop().await.unwrap();

    let after = stock::row(pool, 1).await;
    assert_eq!((after.attempts, after.max_attempts), (10, 10));
    assert_eq!(after.run_at, before.run_at, "no delay was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_failure_stores_its_delay_and_waits() {
    let ours = Ours::new().await;
    let failing = ours.add(&Probe::new(1, Act::Fail).job()).await;
    let worker = ours.start("a", settings()).await;
    until("it has failed", || async {
        ours.view(failing).await.state == JobState::Retryable
    })
    .await;

    // The worker looks at the lane again for each of these.
    for number in 2..22 {
        let next = ours.add(&Probe::new(number, Act::Done).job()).await;
        ours.ended(next).await;
    }
    worker.drain().await;

    let job = ours.view(failing).await;
    assert_eq!(ours.seen.runs_of(1), 1);
    assert_eq!((job.state, job.attempt), (JobState::Retryable, 1));
    assert!(job.run_at > job.attempts[0].finished_at);
}

// "After a minute".

#[tokio::test(flavor = "multi_thread")]
async fn stock_after_a_minute_means_hundreds_of_times_at_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut storage = stock::storage(pool, Config::default()).await;
    let job = TaskBuilder::new(1).max_attempts(3).build();
    storage.push_task(job).await.unwrap();
    let before = stock::row(pool, 1).await;
    let seen = Seen::new();

    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::NotYet));
    seen.until_so_many(Step::Ended, 300).await;
    worker.stop().await.unwrap();

    let after = stock::row(pool, 1).await;
    assert!(after.attempts > after.max_attempts, "{after:?}");
    assert_eq!(after.run_at, before.run_at, "no delay was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_after_a_minute_means_once_and_burns_no_attempt() {
    let ours = Ours::new().await;
    let waiting = ours.add(&Probe::new(1, Act::NotYet).job()).await;
    let worker = ours.start("a", settings()).await;
    until("it is put off", || async {
        ours.view(waiting).await.state == JobState::Scheduled
    })
    .await;

    for number in 2..22 {
        let next = ours.add(&Probe::new(number, Act::Done).job()).await;
        ours.ended(next).await;
    }
    worker.drain().await;

    let job = ours.view(waiting).await;
    assert_eq!(ours.seen.runs_of(1), 1);
    assert_eq!((job.state, job.attempt), (JobState::Scheduled, 0));
    assert!(job.run_at >= job.created_at + Duration::from_mins(1));
}

// A job that kills its worker.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_job_that_kills_its_worker_does_so_for_ever() {
    const NAMES: [&str; 3] = ["first", "second", "third"];
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut storage = stock::storage(pool, Config::default()).await;
    let job = TaskBuilder::new(1).max_attempts(1).build();
    storage.push_task(job).await.unwrap();
    let seen = Seen::new();

    for crash in 1..=NAMES.len() {
        // Each start has a name of its own: that one is not the fault here.
        let name = NAMES[crash - 1];
        let worker = stock::Running::start(stock::monitor(name, &storage, &seen, Act::Gate));
        seen.until_so_many(Step::Began, crash).await;
        worker.kill().await;
        stock::silence(pool, name).await;
    }

    let row = stock::row(pool, 1).await;
    assert_eq!(
        (row.attempts, row.max_attempts),
        (2, 1),
        "and one more that is not counted yet"
    );
    assert_eq!(seen.runs_of(1), NAMES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_job_that_kills_its_worker_is_dead_after_its_last_attempt() {
    let ours = Ours::new().await;
    let id = ours
        .add(&Probe::new(1, Act::Gate).job().max_attempts(1))
        .await;
    let crashing = ours.start_process("first", settings());
    ours.seen.until_so_many(Step::Began, 1).await;
    crashing.kill();
    ours.end_leases().await;

    let rescuer = queue::worker::Settings {
        renew_interval: Duration::from_millis(50),
        ..settings()
    };
    let worker = ours.start("second", rescuer).await;
    let job = ours.ended(id).await;
    worker.drain().await;

    assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
    assert_eq!(job.error_class.as_deref(), Some("crashed"));
    assert_eq!(ours.seen.runs_of(1), 1);
}
