//! How runs end: undecodable payloads, acknowledgements, time-outs, panics.

use std::time::Duration;

use apalis::prelude::{Monitor, TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_postgres::{Config, PostgresStorage};
use queue::{JobState, NewJob};
use test_support::TestDatabase;

use crate::{
    ours::{Hang, Ours, Probe, settings},
    seen::{Act, Seen, Step},
    stock, until,
};

// An undecodable payload.

#[tokio::test(flavor = "multi_thread")]
async fn stock_an_undecodable_payload_kills_the_worker_and_cancels_its_neighbours() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, stock::brisk()).await;
    let seen = Seen::new();
    stock::add(&storage, [1]).await;
    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Gate));
    seen.until_so_many(Step::Began, 1).await;

    // Of another version of the code, which knows the queue's jobs by another type.
    let mut other: PostgresStorage<String> = stock::reach(pool, Config::default());
    other.push("two".to_owned()).await.unwrap();
    let end = worker.end().await;

    assert!(
        end.unwrap_err().to_string().contains("decoding"),
        "the worker is dead"
    );
    seen.until_so_many(Step::CutOff, 1).await;
    assert_ne!(stock::row(pool, 1).await.status, "Done");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_an_undecodable_payload_is_a_failure_and_its_neighbours_go_on() {
    let ours = Ours::new().await;
    let neighbour = ours.add(&Probe::new(1, Act::Gate).job()).await;
    let worker = ours.start("a", settings()).await;
    ours.seen.until_so_many(Step::Began, 1).await;

    // Changed before it can be seen by the worker.
    let mut tx = ours.pool().begin().await.unwrap();
    let bad = queue::enqueue(&mut *tx, &Probe::new(2, Act::Done).job())
        .await
        .unwrap()
        .id;
    let bad_uuid: uuid::Uuid = bad.to_string().parse().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate's queries are not prepared"
    )]
    let spoil = sqlx::query(r#"UPDATE syncline.jobs SET payload = '"two"' WHERE id = $1"#);
    spoil.bind(bad_uuid).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    until("the bad payload has failed", || async {
        ours.view(bad).await.state == JobState::Retryable
    })
    .await;
    ours.seen.gate.add_permits(1);
    let neighbour = ours.ended(neighbour).await;
    assert!(worker.is_alive());
    worker.drain().await;

    assert_eq!(
        (neighbour.state, neighbour.attempt),
        (JobState::Completed, 1)
    );
    assert_eq!(ours.seen.runs(), 1);
    assert_eq!(ours.view(bad).await.attempts[0].error_class, "undecodable");
}

// Results that nobody wants.

#[tokio::test(flavor = "multi_thread")]
async fn stock_without_results_nothing_is_acknowledged() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let config = stock::brisk().persist_results(false);
    let storage = stock::storage(pool, config).await;
    let seen = Seen::new();
    stock::add(&storage, [1, 2]).await;
    let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Done));
    seen.until_so_many(Step::Ended, 2).await;

    // Whatever it has to write it writes before it ends.
    worker.stop().await.unwrap();

    for job in [1, 2] {
        assert_eq!(stock::row(pool, job).await.status, "Running");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_job_without_a_result_is_completed() {
    let ours = Ours::new().await;
    let id = ours.add(&Probe::new(1, Act::Done).job()).await;

    let worker = ours.start("a", settings()).await;
    let job = ours.ended(id).await;
    worker.drain().await;

    assert_eq!((job.state, job.result), (JobState::Completed, None));
}

// Time-outs.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_time_out_leaves_the_job_running() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, Config::default()).await;
    let seen = Seen::new();
    stock::add(&storage, [1]).await;
    let handler = stock::handler("a", &seen, Act::Hang);
    let worker = stock::Running::start(Monitor::new().register(move |_| {
        WorkerBuilder::new("a")
            .backend(storage.clone())
            .timeout(Duration::from_millis(100))
            .build(handler.clone())
    }));
    seen.until_so_many(Step::CutOff, 1).await;
    worker.stop().await.unwrap();

    let row = stock::row(pool, 1).await;
    assert!(row.last_result.unwrap().contains("timed out"));
    assert_eq!(row.status, "Running");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_time_out_is_a_failed_attempt() {
    let ours = Ours::new().await;
    let again = ours.add(&NewJob::new(&Hang {}).unwrap()).await;
    let last = NewJob::new(&Hang {}).unwrap().max_attempts(1);
    let last = ours.add(&last).await;

    let worker = ours.start("a", settings()).await;
    let last = ours.ended(last).await;
    until("the other is put back", || async {
        ours.view(again).await.state == JobState::Retryable
    })
    .await;
    worker.drain().await;

    assert_eq!(
        (last.state, last.error_class.as_deref()),
        (JobState::Dead, Some("timeout"))
    );
    assert_eq!(ours.view(again).await.attempts[0].error_class, "timeout");
}

// Panics.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_caught_panic_leaves_the_job_running() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, Config::default()).await;
    let seen = Seen::new();
    stock::add(&storage, [1]).await;
    let handler = stock::handler("a", &seen, Act::Panic);
    let worker = stock::Running::start(Monitor::new().register(move |_| {
        WorkerBuilder::new("a")
            .backend(storage.clone())
            .catch_panic()
            .build(handler.clone())
    }));
    seen.until_so_many(Step::CutOff, 1).await;
    worker.stop().await.unwrap();

    let row = stock::row(pool, 1).await;
    assert!(row.last_result.unwrap().contains("PanicError"));
    assert_eq!(row.status, "Running");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_panic_is_a_failed_attempt() {
    let ours = Ours::new().await;
    let again = ours.add(&Probe::new(1, Act::Panic).job()).await;
    let last = ours
        .add(&Probe::new(2, Act::Panic).job().max_attempts(1))
        .await;

    let worker = ours.start("a", settings()).await;
    let last = ours.ended(last).await;
    until("the other is put back", || async {
        ours.view(again).await.state == JobState::Retryable
    })
    .await;
    worker.drain().await;

    assert_eq!(
        (last.state, last.error_class.as_deref()),
        (JobState::Dead, Some("panic"))
    );
    assert_eq!(ours.view(again).await.attempts[0].error_class, "panic");
}
