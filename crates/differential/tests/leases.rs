//! Who has a job: busy workers, failing heartbeats, restarts, and workers that stood still.

use std::time::Duration;

use apalis_postgres::Config;
use queue::{JobState, NewJob, worker::Settings};
use sqlx::PgPool;
use test_support::TestDatabase;

use crate::{
    ours::{Ours, Probe, Write, settings},
    seen::{Act, Seen, Step},
    stock, until,
};

/// How often a worker says that it lives, where a test needs that soon.
const BEAT: Duration = Duration::from_millis(100);

// A busy worker.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_busy_worker_looks_dead_and_its_jobs_run_again_and_again() {
    const JOBS: u32 = 10;
    let database = TestDatabase::new().await;
    let config = stock::brisk().missed_heartbeats(1);
    let storage = stock::storage(database.pool(), config).await;
    let seen = Seen::new();
    stock::add(&storage, 0..JOBS).await;
    let act = Act::Work(Duration::from_millis(300));
    let workers = ["a", "b"]
        .map(|name| stock::Running::start(stock::one_at_a_time(name, &storage, &seen, act)));

    seen.until_so_many(Step::Began, 2 * JOBS as usize).await;

    assert!(workers.iter().all(stock::Running::is_alive));
    for worker in workers {
        worker.kill().await;
    }
}

/// When the lease that ends last does, in seconds from the start of the test.
async fn leased_for(pool: &PgPool) -> f64 {
    let seconds = "SELECT extract(epoch FROM min(lease_until))::float8 FROM syncline.workers";
    crate::ours::number(pool, seconds).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_busy_worker_keeps_its_lease_and_its_jobs_run_once() {
    const JOBS: usize = 10;
    let ours = Ours::new().await;
    let settings = Settings {
        lease: Duration::from_secs(4),
        renew_interval: Duration::from_millis(200),
        ..settings()
    };
    let jobs: Vec<_> = (0..10).map(|n| Probe::new(n, Act::Gate).job()).collect();
    let ids = ours.add_all(&jobs).await;
    let workers = [
        ours.start("a", settings.clone()).await,
        ours.start("b", settings.clone()).await,
    ];
    let at_first = leased_for(ours.pool()).await;
    ours.seen.until_so_many(Step::Began, 4).await;

    // Their handlers stay at the gate for longer than a lease lasts.
    until("a lease later", || async {
        leased_for(ours.pool()).await > at_first + settings.lease.as_secs_f64()
    })
    .await;
    ours.seen.gate.add_permits(JOBS);
    for id in ids {
        assert_eq!(ours.ended(id).await.state, JobState::Completed);
    }
    for worker in workers {
        worker.drain().await;
    }

    assert_eq!(ours.seen.runs(), JOBS);
}

// A heartbeat that fails once.

/// Makes updates of a table fail, and counts them: a sequence outlives the transaction that fails.
async fn refuse_updates(pool: &PgPool, table: &'static str) {
    stock::execute(pool, "CREATE SEQUENCE refusals").await;
    stock::execute(
        pool,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM nextval('public.refusals');
            RAISE EXCEPTION 'refused by the test';
        END $$",
    )
    .await;
    stock::execute(pool, table).await;
}

async fn refusals(pool: &PgPool) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a sequence of this test alone")]
    let select =
        sqlx::query_scalar("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM refusals");
    select.fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_one_heartbeat_that_fails_kills_the_worker_and_cancels_what_runs() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, stock::brisk()).await;
    let seen = Seen::new();
    stock::add(&storage, [1]).await;
    let worker = stock::Running::start(stock::one_at_a_time("a", &storage, &seen, Act::Gate));
    seen.until_so_many(Step::Began, 1).await;

    refuse_updates(
        pool,
        "CREATE TRIGGER refuse BEFORE UPDATE ON apalis.workers EXECUTE FUNCTION refuse()",
    )
    .await;
    let end = worker.end().await;

    assert!(end.unwrap_err().to_string().contains("refused by the test"));
    assert_eq!(refusals(pool).await, 1, "once was enough");
    seen.until_so_many(Step::CutOff, 1).await;
    assert_ne!(stock::row(pool, 1).await.status, "Done");
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_renewals_that_fail_are_tried_again_and_what_runs_goes_on() {
    let ours = Ours::new().await;
    let settings = Settings {
        lease: Duration::from_mins(1),
        renew_interval: BEAT,
        ..settings()
    };
    let running = ours.add(&Probe::new(1, Act::Gate).job()).await;
    let worker = ours.start("a", settings).await;
    ours.seen.until_so_many(Step::Began, 1).await;

    refuse_updates(
        ours.pool(),
        "CREATE TRIGGER refuse BEFORE UPDATE ON syncline.workers EXECUTE FUNCTION refuse()",
    )
    .await;
    until("three renewals have failed", || async {
        refusals(ours.pool()).await >= 3
    })
    .await;
    stock::execute(ours.pool(), "DROP TRIGGER refuse ON syncline.workers").await;
    ours.seen.gate.add_permits(1);
    let running = ours.ended(running).await;
    let next = ours.add(&Probe::new(2, Act::Done).job()).await;
    let next = ours.ended(next).await;
    worker.drain().await;

    assert_eq!(running.state, JobState::Completed);
    assert_eq!(next.state, JobState::Completed);
    assert_eq!(ours.seen.runs(), 2);
}

// A restart under the same name.

#[tokio::test(flavor = "multi_thread")]
async fn stock_a_restart_under_the_same_name_leaves_jobs_running_for_ever() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    // By far longer than a machine that is busy with other things holds a heartbeat up.
    let config = stock::brisk().missed_heartbeats(60);
    let storage = stock::storage(pool, config).await;
    let seen = Seen::new();
    stock::add(&storage, [1]).await;
    let crashing = stock::Running::start(stock::one_at_a_time("a", &storage, &seen, Act::Gate));
    until("it is marked as running", || async {
        stock::row(pool, 1).await.status == "Running"
    })
    .await;
    crashing.kill().await;
    lock_an_hour_ago(pool).await;

    // Its successor beats, long after the first should count as dead, and works.
    let successor = stock::Running::start(stock::one_at_a_time("a", &storage, &seen, Act::Gate));
    until("its silence would have been noticed", || async {
        silent_for(pool).await > 3_603.0
    })
    .await;
    stock::add(&storage, [2]).await;
    seen.gate.add_permits(2);
    until("the successor works", || async {
        stock::row(pool, 2).await.status == "Done"
    })
    .await;
    successor.stop().await.unwrap();

    let row = stock::row(pool, 1).await;
    assert_eq!((&*row.status, row.attempts), ("Running", 0));
    assert_eq!(seen.runs_of(1), 1);
}

/// As if an hour had gone by since the job was locked.
async fn lock_an_hour_ago(pool: &PgPool) {
    #[expect(clippy::disallowed_methods, reason = "tables of the stock storage")]
    let update = sqlx::query("UPDATE apalis.jobs SET lock_at = lock_at - interval '1 hour'");
    update.execute(pool).await.unwrap();
}

/// Seconds since the job was locked, by the heartbeat of the one worker there is.
async fn silent_for(pool: &PgPool) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "tables of the stock storage")]
    let select = sqlx::query_scalar(
        "SELECT extract(epoch FROM workers.last_seen - jobs.lock_at)::float8
        FROM apalis.workers, apalis.jobs",
    );
    select.fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_a_restart_under_the_same_name_runs_the_job_again() {
    let ours = Ours::new().await;
    let id = ours.add(&Probe::new(1, Act::Gate).job()).await;
    let crashing = ours.start_process("a", settings());
    ours.seen.until_so_many(Step::Began, 1).await;
    crashing.kill();
    ours.end_leases().await;

    let settings = Settings {
        renew_interval: BEAT,
        ..settings()
    };
    let successor = ours.start("a", settings).await;
    ours.seen.gate.add_permits(1);
    let job = ours.ended(id).await;
    successor.drain().await;

    assert_eq!((job.state, job.attempt), (JobState::Completed, 2));
    assert_eq!(job.attempts[0].outcome, "crashed");
    assert_eq!(ours.seen.runs_of(1), 2);
}

// A worker that stood still, and goes on.

/// Worker `b` takes over from `a`, which seems dead and is not. When `a` goes on, it starts the job that
/// `b` has, and the row says that it is `a`'s. Then `b` runs it too.
#[tokio::test(flavor = "multi_thread")]
async fn stock_a_stale_worker_steals_a_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let storage = stock::storage(pool, Config::default()).await;
    let (seen_a, seen_b) = (Seen::new(), Seen::new());
    stock::add(&storage, [1, 2]).await;
    let stale = stock::one_at_a_time("a", &storage, &seen_a, Act::Gate);
    let stale = stock::Running::start(stale);
    seen_a.until_so_many(Step::Began, 1).await;
    let waiting = 3 - seen_a.entries()[0].job;
    stock::silence(pool, "a").await;
    let successor = stock::one_at_a_time("b", &storage, &seen_b, Act::Gate);
    let successor = stock::Running::start(successor);
    seen_b.until_so_many(Step::Began, 1).await;
    let taken_over = stock::row(pool, waiting).await.lock_by;

    seen_a.gate.add_permits(1);
    until("the stale one has stolen the job", || async {
        stock::row(pool, waiting).await.lock_by.as_deref() == Some("a")
    })
    .await;
    seen_a.gate.add_permits(1);
    seen_b.gate.add_permits(2);
    seen_a.until_so_many(Step::Ended, 2).await;
    seen_b.until_so_many(Step::Ended, 2).await;
    stale.stop().await.unwrap();
    successor.stop().await.unwrap();

    assert_eq!(taken_over.as_deref(), Some("b"));
    assert_eq!((seen_a.runs_of(waiting), seen_b.runs_of(waiting)), (1, 1));
}

/// The stale worker stands still in the midst of a job, its keeper with it, while another takes its lane
/// over and runs both jobs. When it goes on, the fence keeps out what it would write, and it starts nothing.
#[tokio::test(flavor = "multi_thread")]
async fn ours_a_stale_worker_writes_nothing_and_steals_nothing() {
    let ours = Ours::new().await;
    ours.make_effects().await;
    let jobs = [1, 2].map(|number| NewJob::new(&Write { number }).unwrap());
    let ids = ours.add_all(&jobs).await;
    let settings = Settings {
        lane_concurrency: 1,
        renew_interval: BEAT,
        ..settings()
    };
    let stale = ours.start_process("frozen", settings.clone());
    ours.seen.until_so_many(Step::Began, 1).await;
    ours.end_leases().await;

    let successor = ours.start("successor", settings).await;
    for id in ids {
        assert_eq!(ours.ended(id).await.state, JobState::Completed);
    }
    ours.seen.thaw();
    ours.seen.until_so_many(Step::Refused, 1).await;
    until("the stale one has seen that it lost its lease", || async {
        let workers = "SELECT count(*)::float8 FROM syncline.workers";
        crate::ours::number(ours.pool(), workers).await > 2.5
    })
    .await;
    stale.kill();
    successor.drain().await;

    let by_successor = |job| (job, "successor".to_owned());
    assert_eq!(ours.effects().await, [by_successor(1), by_successor(2)]);
    let frozen = ours.seen.entries().into_iter();
    let begun: Vec<_> = frozen
        .filter(|entry| entry.worker == "frozen" && entry.step == Step::Began)
        .collect();
    assert_eq!(begun.len(), 1, "{begun:?}");
}
