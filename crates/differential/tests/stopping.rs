//! Starting again under the same name, and stopping by a deadline.

use std::time::Duration;

use apalis_postgres::Config;
use queue::{JobState, worker::Settings};
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use test_support::TestDatabase;

use crate::{
    ours::{Ours, Probe, settings},
    seen::{Act, Seen, Step},
    stock,
};

// The same name for the third time.

/// Holds the pooled connection that has an advisory lock, as a handler that uses the pool may.
async fn hold_the_locking_connection(pool: &PgPool) -> PoolConnection<Postgres> {
    let mut others = Vec::new();
    loop {
        let mut connection = pool.acquire().await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "the locks of the stock storage")]
        let select = sqlx::query_scalar(
            "SELECT EXISTS (
                SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
            )",
        );
        let has_lock: bool = select.fetch_one(&mut *connection).await.unwrap();
        if has_lock {
            return connection;
        }
        others.push(connection);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_name_cannot_be_registered_for_the_third_time() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, Config::default()).await;
    let seen = Seen::new();
    for start in 1..=2 {
        stock::add(&storage, [start]).await;
        let worker = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Done));
        seen.until(&format!("start {start}"), |entries| {
            entries.iter().any(|entry| entry.job == start)
        })
        .await;
        worker.stop().await.unwrap();
    }

    stock::add(&storage, [3]).await;
    let busy = hold_the_locking_connection(pool).await;
    let third = stock::Running::start(stock::monitor("a", &storage, &seen, Act::Done));
    let end = third.end().await;
    drop(busy);

    assert!(end.unwrap_err().to_string().contains("WorkerAlreadyExists"));
    assert_eq!(stock::row(pool, 3).await.status, "Pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_name_can_be_used_again_and_again() {
    let ours = Ours::new().await;

    for start in 0..5 {
        let id = ours.add(&Probe::new(start, Act::Done).job()).await;
        let worker = ours.start("a", settings()).await;
        assert_eq!(ours.ended(id).await.state, JobState::Completed);
        worker.drain().await;
    }
}

// The deadline of a shutdown.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_shutdown_that_meets_its_deadline_releases_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, Config::default()).await;
    let seen = Seen::new();
    stock::add(&storage, [1, 2]).await;
    let monitor = stock::one_at_a_time("a", &storage, &seen, Act::Gate)
        .shutdown_timeout(Duration::from_millis(100));
    let begun = async {
        seen.until_so_many(Step::Began, 1).await;
        Ok(())
    };

    let end = monitor.run_with_signal(begun).await;

    assert!(end.is_ok(), "as if all were well");
    for job in [1, 2] {
        let row = stock::row(pool, job).await;
        assert!(["Queued", "Running"].contains(&&*row.status), "{row:?}");
        assert_eq!(row.lock_by.as_deref(), Some("a"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_shutdown_that_meets_its_deadline_hands_everything_back() {
    let ours = Ours::new().await;
    let jobs = [1, 2].map(|number| Probe::new(number, Act::Gate).job());
    let ids = ours.add_all(&jobs).await;
    let settings = Settings {
        lane_concurrency: 1,
        drain_deadline: Duration::from_millis(100),
        ..settings()
    };
    let worker = ours.start("a", settings).await;
    ours.seen.until_so_many(Step::Began, 1).await;

    worker.drain().await;

    for id in ids {
        let job = ours.view(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Available, 0));
    }
    let owned = crate::ours::number(
        ours.pool(),
        "SELECT count(*)::float8 FROM syncline.lanes WHERE owner IS NOT NULL",
    );
    assert!(owned.await < 1.0);
}
