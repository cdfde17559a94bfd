//! How many jobs there are, without looking at them.
//!
//! Every statement that changes jobs appends what it changed to `job_count_deltas`, in the same
//! transaction; house-keeping folds those rows into `job_counts`. The truth is the sum of both, at any
//! moment and whoever folds meanwhile, so nobody ever waits for a counter.
//!
//! Waiting jobs are counted by the minute of their `run_at`, so that what is due can be told from what is
//! scheduled, to the minute; ended ones by the day on which they ended.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::{error::Error, view::JobState};

/// Deltas that one reading of the counts may have to sum up; beyond this they are folded first.
const FOLD_ABOVE: i64 = 5_000;
/// Deltas folded at once that leave so many dead rows behind that every reading would feel them.
const VACUUM_ABOVE: i64 = 50_000;
/// Who folds, or repairs, holds this advisory lock: two at once would only wait for each other.
const LOCK: &str = "syncline.job_counts";

/// How many jobs of a queue and kind stand somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Their class.
    pub queue: String,
    /// Their type.
    pub kind: String,
    /// Where they stand.
    pub state: JobState,
    /// The day (UTC) on which they ended, if they are in history.
    pub day: Option<NaiveDate>,
    /// How many.
    pub jobs: u64,
}

/// A count that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// The jobs' class.
    pub queue: String,
    /// Their type.
    pub kind: String,
    /// As stored: `waiting`, `retrying`, `running`, `completed`, `cancelled` or `dead`.
    pub state: String,
    /// As stored: the minute of `run_at`, the day of the end, or the epoch.
    pub bucket: DateTime<Utc>,
    /// What the counts say.
    pub counted: i64,
    /// What a look at all jobs says.
    pub actual: i64,
}

/// Counts of all jobs by queue, kind, state and day. Never looks at a job.
///
/// # Errors
/// [`Error::Database`].
pub async fn counts(pool: &PgPool) -> Result<Vec<Count>, Error> {
    if deltas(pool).await? > FOLD_ABOVE {
        fold(pool).await?;
    }
    let rows = sqlx::query_file!("src/counts/sum.sql")
        .fetch_all(pool)
        .await
        .map_err(Error::database("read the counts of jobs"))?;
    let counts = rows.into_iter().map(|row| Count {
        queue: row.queue,
        kind: row.kind,
        state: JobState::from_stored(&row.state),
        day: row.day,
        // Negative only when the counts are wrong, which `check` tells.
        jobs: row.jobs.try_into().unwrap_or(0),
    });
    Ok(counts.collect())
}

/// A queue's oldest job that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// The queue.
    pub queue: String,
    /// The minute in which it was due; the job itself was due up to a minute later.
    pub due_minute: DateTime<Utc>,
}

/// Since when the oldest due job of each queue waits, to the minute; queues with none are left out. Never looks at a
/// job.
///
/// # Errors
/// [`Error::Database`].
pub async fn oldest_due(pool: &PgPool) -> Result<Vec<Oldest>, Error> {
    sqlx::query_as!(
        Oldest,
        r#"
        SELECT queue AS "queue!", min(bucket) AS "due_minute!"
        FROM (
            SELECT queue, bucket
            FROM (
                SELECT queue, state, bucket, jobs FROM syncline.job_counts
                UNION ALL
                SELECT queue, state, bucket, change FROM syncline.job_count_deltas
            ) AS counted
            WHERE state IN ('waiting', 'retrying')
              AND bucket <= now()
            GROUP BY queue, bucket
            HAVING sum(jobs) > 0
        ) AS due
        GROUP BY queue
        ORDER BY queue
        LIMIT 100
        "#
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look for the oldest job that is due"))
}

/// How many deltas wait to be folded, counted no further than matters.
async fn deltas(pool: &PgPool) -> Result<i64, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM (SELECT FROM syncline.job_count_deltas LIMIT $1) AS looked_at
        "#,
        FOLD_ABOVE + 1
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("look at the counts of jobs"))
}

/// Moves what was appended since the last time into the counts; answers how many rows that were.
///
/// Safe at any time, by many at once: who comes second leaves it to the first.
///
/// # Errors
/// [`Error::Database`].
pub async fn fold(pool: &PgPool) -> Result<u64, Error> {
    let mut tx = pool
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let is_ours = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtext($1)) AS "is_ours!""#,
        LOCK
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database("fold the counts of jobs"))?;
    if !is_ours {
        return Ok(0);
    }
    let taken = sqlx::query_file_scalar!("src/counts/fold.sql")
        .fetch_one(&mut *tx)
        .await
        .map_err(Error::database("fold the counts of jobs"))?;
    // Minutes that have passed and lanes that are done leave zeros behind.
    sqlx::query!("DELETE FROM syncline.job_counts WHERE jobs = 0")
        .execute(&mut *tx)
        .await
        .map_err(Error::database("fold the counts of jobs"))?;
    tx.commit()
        .await
        .map_err(Error::database("fold the counts of jobs"))?;
    if taken > VACUUM_ABOVE {
        vacuum(pool).await;
    }
    Ok(taken.try_into().unwrap_or(0))
}

/// Gives the room of folded deltas back at once. Otherwise the server does so, within a minute or two.
async fn vacuum(pool: &PgPool) {
    let done = sqlx::query!("VACUUM syncline.job_count_deltas")
        .execute(pool)
        .await;
    if let Err(error) = done {
        tracing::debug!(%error, "cannot vacuum the deltas of counts");
    }
}

/// Compares the counts with a look at all jobs; answers where they differ, which is nowhere.
///
/// Takes seconds with millions of jobs, and hinders nobody.
///
/// # Errors
/// [`Error::Database`].
pub async fn check(pool: &PgPool) -> Result<Vec<Difference>, Error> {
    let mut connection = pool
        .acquire()
        .await
        .map_err(Error::database("check the counts of jobs"))?;
    differences(&mut connection).await
}

/// Puts the counts right; answers what was wrong.
///
/// # Errors
/// [`Error::Database`].
pub async fn repair(pool: &PgPool) -> Result<Vec<Difference>, Error> {
    let mut tx = pool
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let differences = repair_in(&mut tx).await?;
    tx.commit()
        .await
        .map_err(Error::database("repair the counts of jobs"))?;
    Ok(differences)
}

/// As [`repair`], in the caller's transaction.
///
/// # Errors
/// [`Error::Database`].
pub async fn repair_in(tx: &mut PgConnection) -> Result<Vec<Difference>, Error> {
    // Alone: two would correct the same fault twice.
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtext($1))::text AS "locked""#,
        LOCK
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database("repair the counts of jobs"))?;
    let differences = differences(tx).await?;
    for difference in &differences {
        sqlx::query!(
            r#"
            INSERT INTO syncline.job_counts AS c (queue, kind, state, bucket, jobs)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (queue, kind, state, bucket) DO UPDATE SET jobs = c.jobs + excluded.jobs
            "#,
            difference.queue,
            difference.kind,
            difference.state,
            difference.bucket,
            difference.actual - difference.counted,
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("repair the counts of jobs"))?;
    }
    Ok(differences)
}

async fn differences(connection: &mut PgConnection) -> Result<Vec<Difference>, Error> {
    sqlx::query_file_as!(Difference, "src/counts/check.sql")
        .fetch_all(connection)
        .await
        .map_err(Error::database("check the counts of jobs"))
}

#[cfg(test)]
mod tests;
