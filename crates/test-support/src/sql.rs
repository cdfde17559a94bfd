//! The few statements that cannot be checked at compile time.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, PgConnection};

/// Runs one statement such as `CREATE DATABASE`, which takes no parameters.
///
/// The names in it are ours, of lower-case letters, digits and underscores, so they need no quotes.
#[expect(
    clippy::disallowed_methods,
    reason = "databases' names are made at run time"
)]
pub(crate) async fn execute(connection: &mut PgConnection, statement: String) -> Result<()> {
    let context = format!("cannot run `{statement}`");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .context(context)?;
    Ok(())
}

/// Runs a query for rows of one text, with one text as its parameter.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate helps to make the data that checks need"
)]
pub(crate) async fn texts(
    connection: &mut PgConnection,
    query: &'static str,
    parameter: &str,
) -> Result<Vec<String>> {
    sqlx::query_scalar(query)
        .bind(parameter)
        .fetch_all(connection)
        .await
        .with_context(|| format!("cannot run `{query}`"))
}
