//! The server as its owner sees it, and what becomes of it when the owner dies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod leftovers;
mod owner;
mod users;

use private_postgres::Server;
use sqlx::{Connection, PgConnection};

/// Runs one query that returns one text.
#[expect(
    clippy::disallowed_methods,
    reason = "a bare server has no schema to check a query against"
)]
fn ask(url: &str, query: &'static str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let answer = sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        answer
    })
}

/// Runs statements without results.
#[expect(
    clippy::disallowed_methods,
    reason = "a bare server has no schema to check a query against"
)]
fn tell(server: &Server, statements: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&server.url("postgres"))
            .await
            .unwrap();
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}
