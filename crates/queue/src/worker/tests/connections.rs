//! A worker whose connections to the database go, one or all, in every way they can.

use sqlx::{
    Executor as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::TestServer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep},
};

use super::*;
use crate::client::close_poisoned;

/// Long enough for any machine; a worker needs a few seconds at most.
const DEADLINE: Duration = Duration::from_mins(5);

async fn enqueue_effects(pool: &PgPool, count: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..count)
        .map(|n| NewJob::new(&Probe::in_lane(&format!("lane-{}", n % 20), Act::Effect)).unwrap())
        .collect();
    let mut tx = pool.begin().await.unwrap();
    let added = enqueue_many(&mut tx, &jobs).await.unwrap();
    tx.commit().await.unwrap();
    added.into_iter().map(|job| job.id).collect()
}

/// Waits until all jobs are done, moving time for those that wait to be tried again; each must be done once.
async fn assert_done_once(client: &Client, pool: &PgPool, jobs: &[JobId]) {
    let began = Instant::now();
    for id in jobs {
        loop {
            let waited = client.wait(*id, Duration::from_secs(1)).await.unwrap();
            if let Some(view) = waited {
                assert_eq!(view.state, JobState::Completed, "{view:?}");
                break;
            }
            assert!(began.elapsed() < DEADLINE, "job {id} never ends");
            move_time(pool).await;
            client.wake();
        }
    }
    let mut effects = probe::effects(pool).await;
    effects.sort_unstable();
    let mut expected: Vec<_> = jobs.iter().map(|id| id.0).collect();
    expected.sort_unstable();
    assert_eq!(effects, expected);
}

/// Makes what waits to be tried again due. It may deadlock with a worker that is busy; the next call may not.
async fn move_time(pool: &PgPool) {
    let _ = testing::advance(pool, Duration::from_mins(10)).await;
}

async fn until_some_are_done(pool: &PgPool, count: usize) {
    let began = Instant::now();
    while probe::effects(pool).await.len() < count {
        assert!(began.elapsed() < DEADLINE, "no job is done");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_after_postgres_crashed_and_came_back() {
    let server = TestServer::durable().await;
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(30))
        .connect_lazy(server.url())
        .unwrap();
    probe::make_effects(&pool).await;
    let (client, seen) = (client(&pool), Seen::new());
    let jobs = enqueue_effects(&pool, 400).await;
    let gate = probe::add(&pool, &Probe::in_lane("gate", Act::Gate)).await;
    let worker = Running::start(&client, &seen, quick_settings()).await;

    until_some_are_done(&pool, 50).await;
    server.stop_immediate().await;
    // Long enough for everybody to notice: the keeper's next try, the pool's, the listener's.
    sleep(Duration::from_secs(1)).await;
    server.restart().await;
    let back = Instant::now();
    let done = probe::effects(&pool).await.len();
    until_some_are_done(&pool, done + 1).await;
    let working_after = back.elapsed();

    assert_done_once(&client, &pool, &jobs).await;
    seen.gate.add_permits(10);
    let view = ended(&client, gate).await;
    worker.drain().await;

    // It ran on while the database was away, and was believed afterwards.
    assert_eq!((view.state, view.attempt), (JobState::Completed, 1));
    assert_eq!(seen.runs.lock().unwrap()[&gate], 1);
    assert!(working_after < DEADLINE);
    #[expect(
        clippy::print_stderr,
        reason = "a measurement for who asks with --nocapture"
    )]
    {
        eprintln!("working again {working_after:?} after the database's return");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_when_all_its_connections_are_terminated() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let (client, seen) = (client(pool), Seen::new());
    let worker = Running::start(&client, &seen, quick_settings()).await;
    // On connections of its own, so that the test itself is not interrupted.
    let options: PgConnectOptions = database.url().parse().unwrap();
    let observer = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options.application_name("observer"));

    let mut jobs = Vec::new();
    for round in 1..=5 {
        jobs.extend(enqueue_effects(&observer, 100).await);
        client.wake_local();
        until_some_are_done(&observer, 100 * (round - 1) + 10).await;
        assert!(terminate(&observer, "%").await > 0);
        let observing = Client::new(observer.clone());
        let (start, mut began) = (Instant::now(), Instant::now());
        for id in &jobs {
            while observing.get(*id).await.unwrap().unwrap().state != JobState::Completed {
                assert!(start.elapsed() < DEADLINE, "job {id} never ends");
                if began.elapsed() > Duration::from_secs(1) {
                    move_time(&observer).await;
                    began = Instant::now();
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
    assert_done_once(&Client::new(observer.clone()), &observer, &jobs).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_when_the_other_end_is_gone_without_a_word() {
    let database = TestDatabase::new().await;
    let direct: PgConnectOptions = database.url().parse().unwrap();
    let network = Network::to(&direct).await;
    let pool = PgPoolOptions::new().connect_lazy_with(direct.host("127.0.0.1").port(network.port));
    let worker = Running::start(&client(&pool), &Seen::new(), quick_settings()).await;
    let observing = client(database.pool());
    let before = probe::add(database.pool(), &Probe::in_lane("a", Act::Done)).await;
    ended(&observing, before).await;

    network.silence();
    let job = probe::add(database.pool(), &Probe::in_lane("b", Act::Done)).await;
    let view = observing.wait(job, DEADLINE).await.unwrap();

    assert_eq!(view.expect("the job ends").state, JobState::Completed);
    worker.drain().await;
}

/// A network before a server, in which connections can fall silent: nothing arrives, and nobody says so.
struct Network {
    port: u16,
    silence: watch::Sender<()>,
}

impl Network {
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    async fn to(server: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = (server.get_host().to_owned(), server.get_port());
        let silence = watch::Sender::new(());
        let silences = silence.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = TcpStream::connect(address.clone()).await.unwrap();
                let mut is_silent = silences.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_silent.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, silence }
    }

    /// All connections that there are fall silent; new ones work.
    fn silence(&self) {
        self.silence.send_replace(());
    }
}

/// Ends the backends whose last statement is like this; answers how many.
async fn terminate(pool: &PgPool, statement: &str) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "no product code does this")]
    let terminated = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name <> 'observer' AND query LIKE $1 \
           AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    );
    terminated.bind(statement).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_dropped_hears_again() {
    let database = TestDatabase::new().await;
    let (client, other) = (client(database.pool()), client(database.pool()));
    let settings = Settings {
        poll_interval: Duration::from_hours(1),
        ..quick_settings()
    };
    let worker = Running::start(&client, &Seen::new(), settings).await;

    for _ in 0..3 {
        let began = Instant::now();
        while terminate(database.pool(), "LISTEN %").await == 0 {
            assert!(began.elapsed() < DEADLINE, "nobody listens");
            sleep(Duration::from_millis(20)).await;
        }
        let id = probe::add(database.pool(), &Probe::in_lane("a", Act::Done)).await;
        // Only by hearing of it can the worker know; it may be told before it listens again.
        while other
            .wait(id, Duration::from_millis(500))
            .await
            .unwrap()
            .is_none()
        {
            assert!(began.elapsed() < DEADLINE, "not heard");
            other.wake();
        }
    }
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_comes_back_inside_a_transaction_is_lent_no_more() {
    for spoilt in [
        "BEGIN",
        "BEGIN; CREATE TABLE t(); SAVEPOINT s",
        "BEGIN; SELECT 1/0",
    ] {
        let database = TestDatabase::new().await;
        probe::make_effects(database.pool()).await;
        let pool = close_poisoned(PgPoolOptions::new())
            .max_connections(1)
            .connect_lazy(&database.url())
            .unwrap();
        let client = client(&pool);
        let worker = Running::start(&client, &Seen::new(), quick_settings()).await;

        let mut connection = pool.acquire().await.unwrap();
        let _ = connection.execute(spoilt).await;
        drop(connection);
        let job = probe::add(&pool, &Probe::in_lane("a", Act::Effect)).await;
        client.wake();
        let view = ended(&client, job).await;
        worker.drain().await;

        assert_eq!(
            (view.state, view.attempt),
            (JobState::Completed, 1),
            "{spoilt}"
        );
        assert_eq!(probe::effects(database.pool()).await, [job.0], "{spoilt}");
    }
}

/// Connecting costs more than a transaction does, so a pool that closed them all would be a slow one.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_comes_back_clean_is_lent_again() {
    let database = TestDatabase::new().await;
    let pool = close_poisoned(PgPoolOptions::new())
        .max_connections(1)
        .connect_lazy(&database.url())
        .unwrap();
    let mut servers = std::collections::BTreeSet::new();

    for round in 0..20 {
        let mut tx = pool.begin().await.unwrap();
        let server = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        servers.insert(server);
        if round % 2 == 0 {
            tx.commit().await.unwrap();
        }
    }

    assert_eq!(servers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_asks_by_itself_has_limits_at_the_server() {
    let database = TestDatabase::new().await;
    let mut session = Session::like(database.pool());

    for (setting, expected) in [
        ("statement_timeout", "9s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "9s"),
    ] {
        #[expect(clippy::disallowed_methods, reason = "no product code asks")]
        let show = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
        let mut connection = session.take().await.unwrap();
        let limit: String = show.fetch_one(&mut connection).await.unwrap();
        session.keep(connection);
        assert_eq!(limit, expected, "{setting}");
    }
}
