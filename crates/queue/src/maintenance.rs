//! House-keeping of the queue's tables.

use std::time::Duration;

use sqlx::PgPool;

use crate::error::Error;

/// Days for which history's partitions are made ahead.
const DAYS_AHEAD: i32 = 7;

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Ended jobs and failed attempts; rounded up to whole days.
    pub history: Duration,
    /// Rows of workers that ended.
    pub workers: Duration,
}

/// What one round of house-keeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Partitions of history dropped.
    pub partitions: i32,
    /// Rows of ended workers deleted.
    pub workers: u64,
}

/// Makes the partitions of the days to come. Safe to call at any time.
///
/// # Errors
/// [`Error::Database`].
pub async fn ensure_partitions(pool: &PgPool) -> Result<(), Error> {
    sqlx::query_scalar!(
        r#"SELECT syncline.ensure_partitions($1)::text AS "made""#,
        DAYS_AHEAD
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("make the partitions of history"))?;
    Ok(())
}

/// Makes the partitions to come and drops what is older than `retention`.
///
/// # Errors
/// [`Error::Database`].
pub async fn run(pool: &PgPool, retention: Retention) -> Result<Report, Error> {
    ensure_partitions(pool).await?;
    let partitions = sqlx::query_scalar!(
        r#"
        SELECT syncline.drop_partitions(
            ((now() AT TIME ZONE 'UTC') - make_interval(secs => $1))::date
        ) AS "dropped!"
        "#,
        retention.history.as_secs_f64(),
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("drop old history"))?;
    let workers = sqlx::query!(
        r#"
        DELETE FROM syncline.workers w
        WHERE ended_at < now() - make_interval(secs => $1)
          AND NOT EXISTS (SELECT FROM syncline.lanes WHERE owner = w.id)
        "#,
        retention.workers.as_secs_f64(),
    )
    .execute(pool)
    .await
    .map_err(Error::database("forget ended workers"))?
    .rows_affected();
    Ok(Report {
        partitions,
        workers,
    })
}
