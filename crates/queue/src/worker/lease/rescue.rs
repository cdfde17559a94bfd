//! Taking over from workers that are gone.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::error::Error;

/// Workers in a row that a lane's jobs may outlive before the lane is paused.
pub(crate) const CRASHES_BEFORE_QUARANTINE: i16 = 5;

/// Declares silent workers dead and frees the lanes of all that have ended; answers how many lanes.
///
/// A job that was running counts the attempt: it is tried again later, or dead when it was its last. The
/// lanes' limiters are set as if the burst had just been used. A lane in which jobs ran when its worker
/// ended is suspect; after several in a row, with no job completed in between, it is paused for people to
/// look at. Safe to run anywhere, by many at once.
///
/// The order of locks is that of everybody else: lanes first, then jobs. It never waits for a transaction
/// behind the fence, since that could keep the caller from renewing its own lease: such a lane is left
/// for the next round.
pub(crate) async fn rescue(
    connection: &mut PgConnection,
    limiter_exhausted: Duration,
) -> Result<u64, Error> {
    let mut tx = connection
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    // Whoever enqueues takes keys before lanes, and this takes lanes first: should they meet, this gives way.
    sqlx::query_scalar!(r#"SELECT set_config('lock_timeout', '200ms', true) AS "set""#)
        .fetch_one(&mut *tx)
        .await
        .map_err(Error::database("rescue lanes"))?;
    bury_silent_workers(&mut tx).await?;
    let lanes = lock_lanes(&mut tx).await?;
    let freed = if lanes.is_empty() {
        0
    } else {
        free(&mut tx, &lanes, limiter_exhausted).await?
    };
    tx.commit().await.map_err(Error::database("rescue lanes"))?;
    Ok(freed)
}

async fn bury_silent_workers(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.workers
        SET state = 'dead', ended_at = now()
        WHERE id = ANY (ARRAY(
            SELECT id
            FROM syncline.workers
            WHERE state IN ('running', 'draining') AND lease_until < now()
            FOR UPDATE SKIP LOCKED
        ))
        "#
    )
    .execute(tx)
    .await
    .map_err(Error::database("declare workers dead"))?;
    Ok(())
}

async fn lock_lanes(tx: &mut PgConnection) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT lane
        FROM syncline.lanes
        WHERE owner IS NOT NULL
          AND owner IN (SELECT id FROM syncline.workers WHERE state IN ('stopped', 'dead'))
        ORDER BY lane
        FOR UPDATE SKIP LOCKED
        "#
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("lock the lanes of dead workers"))
}

/// A job that ran when its worker ended.
struct Orphan {
    id: Uuid,
    lane: String,
}

async fn free(
    tx: &mut PgConnection,
    lanes: &[String],
    limiter_exhausted: Duration,
) -> Result<u64, Error> {
    let orphans = sqlx::query_as!(
        Orphan,
        r#"
        SELECT id, lane
        FROM syncline.jobs
        WHERE lane = ANY ($1) AND started_at IS NOT NULL
        ORDER BY lane, id
        FOR UPDATE SKIP LOCKED
        "#,
        lanes,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("lock the jobs of dead workers"))?;
    let (ids, suspects): (Vec<Uuid>, Vec<String>) =
        orphans.into_iter().map(|job| (job.id, job.lane)).unzip();
    // Started and not locked by us: a transaction behind the fence holds it.
    let busy = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT lane
        FROM syncline.jobs
        WHERE lane = ANY ($1) AND started_at IS NOT NULL AND NOT id = ANY ($2)
        "#,
        lanes,
        &ids,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("look for the jobs of dead workers"))?;
    if !ids.is_empty() {
        sqlx::query_file!("src/worker/lease/bury_crashed.sql", &ids)
            .execute(&mut *tx)
            .await
            .map_err(Error::database("move crashed jobs to the dead"))?;
        sqlx::query_file!("src/worker/lease/put_back_crashed.sql", &ids)
            .execute(&mut *tx)
            .await
            .map_err(Error::database("put crashed jobs back"))?;
        metrics::counter!("syncline_jobs_crashed_total").increment(ids.len() as u64);
    }
    let freed = sqlx::query_file_scalar!(
        "src/worker/lease/free_lanes.sql",
        lanes,
        &busy,
        &suspects,
        limiter_exhausted.as_secs_f64(),
        CRASHES_BEFORE_QUARANTINE,
    )
    .fetch_one(tx)
    .await
    .map_err(Error::database("free the lanes of dead workers"))?;
    Ok(u64::try_from(freed).unwrap_or(0))
}
