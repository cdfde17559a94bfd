//! The statements of the benchmarks themselves: on tables of others, or with names made at run time.
//!
//! Everything in them is ours, so nothing needs quoting.

#![expect(
    clippy::disallowed_methods,
    reason = "peers' tables and databases made at run time are unknown to the checks"
)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};
use uuid::Uuid;

/// Runs statements that answer nothing.
pub(crate) async fn execute(connection: &mut PgConnection, statements: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(connection)
        .await
        .with_context(|| format!("cannot run `{statements}`"))?;
    Ok(())
}

/// Stores a webhook whole, in a commit of its own.
pub(crate) async fn insert_whole(pool: &PgPool, id: Uuid, body: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO whole (id, hash, body) VALUES ($1, sha256($2), $2)")
        .bind(id)
        .bind(body)
        .execute(pool)
        .await?;
    Ok(())
}

/// Stores rows that hold nothing, in one commit.
pub(crate) async fn insert_narrow(pool: &PgPool, ids: &[Uuid]) -> Result<()> {
    sqlx::query("INSERT INTO narrow (id) SELECT unnest($1::uuid[])")
        .bind(ids)
        .execute(pool)
        .await?;
    Ok(())
}

/// The one number a query answers.
pub(crate) async fn number(pool: &PgPool, query: &str) -> Result<i64> {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
        .fetch_one(pool)
        .await
        .with_context(|| format!("cannot run `{query}`"))
}

/// Waits until a query answers zero.
pub(crate) async fn until_none(
    pool: &PgPool,
    query: &str,
    look_every: Duration,
    patience: Duration,
) -> Result<()> {
    let begun = Instant::now();
    while number(pool, query).await? > 0 {
        ensure!(
            begun.elapsed() < patience,
            "still not zero after {patience:?}: {query}"
        );
        tokio::time::sleep(look_every).await;
    }
    Ok(())
}

/// The rows of a query all of whose columns are texts.
pub(crate) async fn texts(pool: &PgPool, query: &str) -> Result<Vec<Vec<String>>> {
    let rows = sqlx::query(AssertSqlSafe(query.to_owned()))
        .fetch_all(pool)
        .await
        .with_context(|| format!("cannot run `{query}`"))?;
    rows.iter()
        .map(|row| (0..row.len()).map(|at| Ok(row.try_get(at)?)).collect())
        .collect()
}
