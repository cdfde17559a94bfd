//! Against a real PgBouncer in transaction mode, with real sqlx.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests, with statements about no table of ours"
)]

use futures::future::join_all;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::{TestDatabase, TestPooler};

/// Servers behind the pooler; fewer than there are clients.
const SERVERS: u32 = 2;
const CLIENTS: u32 = 6;

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CLIENTS)
        .connect_lazy_with(options)
}

/// Different statements, again and again, from many clients at once.
async fn ask(pool: &PgPool) -> Result<(), sqlx::Error> {
    let clients = (0..i64::from(CLIENTS)).map(|client| async move {
        for round in 0..50 {
            let sum: i64 = sqlx::query_scalar("SELECT $1::bigint + $2::bigint")
                .bind(client)
                .bind(round)
                .fetch_one(pool)
                .await?;
            assert_eq!(sum, client + round);
            let text: String = sqlx::query_scalar("SELECT repeat($1, $2)")
                .bind("ab")
                .bind(i32::try_from(client).unwrap())
                .fetch_one(pool)
                .await?;
            assert_eq!(text.len(), 2 * usize::try_from(client).unwrap());
            let mut tx = pool.begin().await?;
            let series: Vec<i64> = sqlx::query_scalar("SELECT generate_series(1, $1::bigint)")
                .persistent(round % 2 == 0)
                .bind(round)
                .fetch_all(&mut *tx)
                .await?;
            assert_eq!(series.len(), usize::try_from(round).unwrap());
            tx.commit().await?;
        }
        Ok(())
    });
    join_all(clients).await.into_iter().collect()
}

#[tokio::test]
async fn prepared_statements_work_whichever_server_comes_next() {
    let database = TestDatabase::new().await;
    let pooler = TestPooler::before(&database.url(), SERVERS).await;
    let options = pooler.options().clone().options([("a.b", "c")]);

    let relayed = pool(pooler_relay::through(&options).unwrap());

    ask(&relayed).await.unwrap();
    relayed.close().await;
}

#[tokio::test]
async fn errors_come_as_they_are_and_spoil_nothing() {
    let database = TestDatabase::new().await;
    let pooler = TestPooler::before(&database.url(), SERVERS).await;
    let relayed = pool(pooler_relay::through(pooler.options()).unwrap());

    for divisor in [1, 0, 2, 0] {
        let answer: Result<i32, _> = sqlx::query_scalar("SELECT 4 / $1")
            .bind(divisor)
            .fetch_one(&relayed)
            .await;
        let code = answer
            .as_ref()
            .err()
            .and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
        assert_eq!(answer.ok(), 4_i32.checked_div(divisor));
        assert_eq!(code.as_deref(), (divisor == 0).then_some("22012"));
    }
    let unknown = sqlx::query("SELECT nothing").execute(&relayed).await;

    assert!(unknown.unwrap_err().to_string().contains("nothing"));
    ask(&relayed).await.unwrap();
    relayed.close().await;
}

#[tokio::test]
async fn a_pooler_that_is_away_says_come_again() {
    let nowhere = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(1)
        .username("ada");

    let relayed = pooler_relay::through(&nowhere).unwrap();
    let error = PgConnection::connect_with(&relayed).await.unwrap_err();

    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("57P03"), "{error}");
    assert!(error.to_string().contains("cannot reach the pooler"));
}

#[tokio::test]
async fn encryption_that_is_asked_for_is_not_left_out_silently() {
    let options =
        PgConnectOptions::new_without_pgpass().ssl_mode(sqlx::postgres::PgSslMode::Require);

    let error = pooler_relay::through(&options).unwrap_err().to_string();

    assert!(error.contains("speaks no TLS"), "{error}");
}

/// Why there is a relay.
#[tokio::test]
async fn without_the_relay_it_does_not_work() {
    let database = TestDatabase::new().await;
    let pooler = TestPooler::before(&database.url(), SERVERS).await;
    let bare = pooler.options().clone();
    if pooler.knows_prepared_statements() {
        return;
    }

    let refused = PgConnection::connect_with(&bare).await.unwrap_err();
    let bare = pool(bare.extra_float_digits(None));
    let ask = || sqlx::query_scalar::<_, i32>("SELECT $1::integer").bind(1);
    let answers = join_all((0..20).map(|_| ask().fetch_one(&bare))).await;

    assert!(
        refused.to_string().contains("extra_float_digits"),
        "{refused}"
    );
    let failures = answers.iter().filter_map(|answer| answer.as_ref().err());
    let failures: Vec<String> = failures.map(ToString::to_string).collect();
    assert!(
        failures
            .iter()
            .any(|failure| failure.contains("prepared statement")),
        "{failures:?}"
    );
}
