//! Databases for tests, on a private server and on one that somebody else started.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::process::Command;

use private_postgres::{Options, Server};
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
