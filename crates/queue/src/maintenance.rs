//! House-keeping of the queue's tables: what is kept, and for how long.
//!
//! | what | kept |
//! |---|---|
//! | completed and cancelled jobs, and their counts | [`Retention::history`], by the day on which they ended |
//! | failed attempts, and the notes of all | as history, by the day on which they ended, even of jobs that still live |
//! | dead jobs | until somebody retries or deletes them |
//! | rows of workers that ended | [`Retention::workers`], and while a lane of theirs waits to be rescued |
//! | pauses | until they are resumed or their time has come |
//! | measurements | as far as [`rollups::Window`] looks back, and a little longer |
//! | requests to cancel a running job | until that job has ended |
//!
//! Every step is safe to repeat and to run beside others, and stands for itself: what one could not do the
//! next round does.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use crate::{
    admin::{self, Request, groups},
    counts,
    error::Error,
    rollups,
};

/// Days for which history's partitions are made ahead.
const DAYS_AHEAD: i32 = 7;
/// So that who looks a little later still sees what held.
const KEEP_ENDED_PAUSES: Duration = Duration::from_hours(24);

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Completed and cancelled jobs, and failed attempts; rounded up to whole days.
    pub history: Duration,
    /// Rows of workers that ended.
    pub workers: Duration,
}

/// What one round of house-keeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Partitions of history dropped.
    pub partitions: i32,
    /// Rows of ended workers deleted.
    pub workers: u64,
    /// Rows of pauses deleted whose time had come.
    pub pauses: u64,
    /// Jobs cancelled that came back to waiting after somebody asked for their end.
    pub cancelled: u64,
    /// Requests to cancel deleted whose job had ended.
    pub requests: u64,
    /// Rows of measurements deleted.
    pub measurements: u64,
    /// Changes of counts folded.
    pub folded: u64,
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

/// One round: makes the partitions to come, drops what is older than `retention`, folds the counts.
///
/// # Errors
/// [`Error::Database`].
pub async fn run(pool: &PgPool, retention: Retention) -> Result<Report, Error> {
    ensure_partitions(pool).await?;
    Ok(Report {
        partitions: drop_old_history(pool, retention.history).await?,
        workers: forget_workers(pool, retention.workers).await?,
        pauses: forget_pauses(pool).await?,
        cancelled: cancel_put_back(pool).await?,
        requests: forget_requests(pool).await?,
        measurements: rollups::forget(pool).await?,
        folded: counts::fold(pool).await? + groups::maintain(pool).await?,
    })
}

async fn drop_old_history(pool: &PgPool, keep: Duration) -> Result<i32, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT syncline.drop_partitions(
            ((now() AT TIME ZONE 'UTC') - make_interval(secs => $1))::date
        ) AS "dropped!"
        "#,
        keep.as_secs_f64(),
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("drop old history"))
}

async fn forget_workers(pool: &PgPool, keep: Duration) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        DELETE FROM syncline.workers w
        WHERE ended_at < now() - make_interval(secs => $1)
          AND NOT EXISTS (SELECT FROM syncline.lanes WHERE owner = w.id)
        "#,
        keep.as_secs_f64(),
    )
    .execute(pool)
    .await
    .map_err(Error::database("forget ended workers"))?;
    Ok(done.rows_affected())
}

/// Workers heed them no more; a day later people need not see them either.
async fn forget_pauses(pool: &PgPool) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM syncline.pauses WHERE paused_until < now() - make_interval(secs => $1)",
        KEEP_ENDED_PAUSES.as_secs_f64(),
    )
    .execute(pool)
    .await
    .map_err(Error::database("forget ended pauses"))?;
    Ok(done.rows_affected())
}

/// A running job whose end was asked for may have failed, or lost its worker, before it was stopped.
async fn cancel_put_back(pool: &PgPool) -> Result<u64, Error> {
    let waiting = sqlx::query!(
        r#"
        SELECT c.job_id, c.requested_by, c.reason
        FROM syncline.cancellations c
        JOIN syncline.jobs j ON j.id = c.job_id
        WHERE j.started_at IS NULL
        ORDER BY c.job_id
        LIMIT 1000
        "#
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look for jobs to cancel"))?;
    let mut cancelled = 0;
    for job in waiting {
        let mut tx = pool
            .begin()
            .await
            .map_err(Error::database("begin a transaction"))?;
        let request = Request {
            by: job.requested_by,
            reason: job.reason,
        };
        cancelled += admin::cancel_waiting(&mut tx, &[job.job_id], &request)
            .await?
            .len() as u64;
        tx.commit().await.map_err(Error::database("cancel a job"))?;
    }
    Ok(cancelled)
}

async fn forget_requests(pool: &PgPool) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        DELETE FROM syncline.cancellations c
        WHERE NOT EXISTS (SELECT FROM syncline.jobs WHERE id = c.job_id)
        "#
    )
    .execute(pool)
    .await
    .map_err(Error::database("forget requests to cancel"))?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests;
