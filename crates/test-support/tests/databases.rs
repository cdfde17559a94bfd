//! Databases for tests, on a private server and on one that somebody else started.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use private_postgres::{Options, Server};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use test_support::{TestDatabase, TestServer};

#[expect(
    clippy::disallowed_methods,
    reason = "the crate that helps to make the data of checks"
)]
async fn count(connection: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate that helps to make the data of checks"
)]
async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

const OURS: &str = "SELECT count(*) FROM pg_database WHERE datname LIKE 'syncline\\_test\\_%'";
const TEMPLATES: &str =
    "SELECT count(*) FROM pg_database WHERE datname LIKE 'syncline\\_template\\_%'";
const MIGRATIONS: &str = "SELECT count(*) FROM _sqlx_migrations WHERE success";

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = tokio::join!(TestDatabase::new(), TestDatabase::new());

    run(
        &mut one.connect().await,
        "CREATE TABLE public.mine (id int)",
    )
    .await;

    assert_ne!(one.url(), other.url());
    assert!(count(&mut other.connect().await, MIGRATIONS).await > 0);
    assert_eq!(
        count(
            &mut other.connect().await,
            "SELECT count(*) FROM pg_class WHERE relname = 'mine'"
        )
        .await,
        0
    );
    assert_eq!(
        count(
            &mut one.pool().acquire().await.unwrap(),
            "SELECT count(*) FROM public.mine"
        )
        .await,
        0
    );
}

/// As a task has one that was stopped on its way: on a single-threaded runtime it stays so while the test ends.
#[tokio::test]
async fn a_test_ends_although_a_connection_is_half_open() {
    let (database, other) = tokio::join!(TestDatabase::new(), TestDatabase::new());
    let mut watching = other.connect().await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let half_open = half_open(&options);
    let began = Instant::now();

    drop(database);

    let waited = began.elapsed();
    drop(half_open);
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    while exists(&mut watching, options.get_database().unwrap()).await {
        assert!(began.elapsed() < Duration::from_secs(50), "it stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate that helps to make the data of checks"
)]
async fn exists(connection: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Asks to be let in, and does not answer when the server asks for the password.
fn half_open(options: &PgConnectOptions) -> TcpStream {
    let mut stream = TcpStream::connect((options.get_host(), options.get_port())).unwrap();
    let (user, database) = (options.get_username(), options.get_database().unwrap());
    let wishes = format!("user\0{user}\0database\0{database}\0\0");
    let version = 3_u32 << 16;
    let length = u32::try_from(wishes.len() + 8).unwrap();
    let message = [
        &length.to_be_bytes(),
        &version.to_be_bytes(),
        wishes.as_bytes(),
    ];
    stream.write_all(&message.concat()).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"R", "a request for authentication");
    stream
}

#[tokio::test]
async fn a_durable_server_survives_its_crash() {
    let server = TestServer::durable().await;
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    run(
        &mut connection,
        "CREATE TABLE public.mine AS SELECT 7 AS id",
    )
    .await;

    server.stop_immediate().await;
    assert!(PgConnection::connect(server.url()).await.is_err());
    server.restart().await;

    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    assert_eq!(
        count(&mut connection, "SELECT id::bigint FROM public.mine").await,
        7
    );
}

#[tokio::test]
async fn leaves_nothing_but_the_template_on_a_server_of_somebody_elses() {
    let server = tokio::task::spawn_blocking(|| Server::start(Options::throwaway()))
        .await
        .unwrap()
        .unwrap();
    let mut admin = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    run(
        &mut admin,
        "CREATE DATABASE syncline_test_01890000000070008000000000000000",
    )
    .await;
    run(
        &mut admin,
        "CREATE DATABASE syncline_test_results_of_somebody",
    )
    .await;

    // Four processes at once; the last one's test panics, as it should.
    let tests = [
        "uses_a_database",
        "uses_a_database",
        "uses_a_database",
        "panics_with_a_database",
    ];
    let processes: Vec<_> = tests
        .iter()
        .map(|test| (test, start(test, &server.url("postgres"))))
        .collect();
    for (test, mut process) in processes {
        let passed = tokio::task::spawn_blocking(move || process.wait().unwrap().success())
            .await
            .unwrap();
        assert!(passed, "{test}");
    }

    assert_eq!(count(&mut admin, TEMPLATES).await, 1);
    assert_eq!(
        count(&mut admin, OURS).await,
        1,
        "only the one whose name says that it is not ours"
    );
}

#[tokio::test]
async fn a_user_who_may_not_create_databases_is_told_so() {
    let server = tokio::task::spawn_blocking(|| Server::start(Options::throwaway()))
        .await
        .unwrap()
        .unwrap();
    let mut admin = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    run(&mut admin, "CREATE ROLE guest LOGIN PASSWORD 'guest'").await;
    let url = format!(
        "postgres://guest:guest@127.0.0.1:{}/postgres",
        server.port()
    );

    let output = tokio::task::spawn_blocking(move || command("uses_a_database", &url).output())
        .await
        .unwrap()
        .unwrap();

    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("ALTER ROLE"),
        "{text}"
    );
}

/// This test binary again, for one test on another server.
fn command(test: &str, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored"])
        .env("DATABASE_URL", url);
    command
}

fn start(test: &str, url: &str) -> std::process::Child {
    command(test, url)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "run by the tests above, in a process of its own"]
async fn uses_a_database() {
    let database = TestDatabase::new().await;
    assert!(count(&mut database.pool().acquire().await.unwrap(), MIGRATIONS).await > 0);
}

#[tokio::test]
#[ignore = "run by a test above, in a process of its own"]
#[should_panic(expected = "as a failing test does")]
async fn panics_with_a_database() {
    let database = TestDatabase::new().await;
    let _held = database.pool().acquire().await.unwrap();
    panic!("as a failing test does");
}
