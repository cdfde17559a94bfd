//! Claiming lanes.

use std::time::Duration;

use sqlx::PgPool;

use crate::{
    error::Error,
    ids::{Lane, WorkerId},
};

/// A lane that is ours now.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) lane: Lane,
    pub(crate) epoch: i64,
    /// How far the limiter's stored stamp lies in the future.
    pub(crate) limiter_ahead: Duration,
    /// Workers in a row that ended while they ran its jobs.
    pub(crate) crashes: i16,
}

/// How many lanes to claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    /// Lanes with jobs of the queues that have slots kept free from the bulk.
    pub(crate) urgent: usize,
    /// Any lanes.
    pub(crate) any: usize,
}

impl Want {
    pub(crate) fn is_nothing(self) -> bool {
        self.urgent + self.any == 0
    }
}

/// Claims due lanes, urgent ones first, then those that have been due longest.
///
/// The commit is not waited for: a claim that a crash of the server forgets is noticed at the first start.
pub(crate) async fn claim(
    pool: &PgPool,
    worker: WorkerId,
    want: Want,
) -> Result<Vec<Claimed>, Error> {
    let rows = sqlx::query!(
        r#"
        UPDATE syncline.lanes
        SET owner = $1, epoch = epoch + 1, is_urgent = false
        WHERE lane = ANY (
                ARRAY(
                    SELECT lane
                    FROM syncline.lanes
                    WHERE owner IS NULL AND is_urgent AND due_at <= now()
                    ORDER BY due_at
                    LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) || ARRAY(
                    SELECT lane
                    FROM syncline.lanes
                    WHERE owner IS NULL AND due_at <= now()
                    ORDER BY due_at
                    LIMIT $3
                    FOR UPDATE SKIP LOCKED
                )
            )
          AND EXISTS (SELECT FROM syncline.workers WHERE id = $1 AND state = 'running')
          AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
        RETURNING
            lane,
            epoch,
            greatest(coalesce(extract(epoch FROM limiter_tat - now()), 0), 0)::float8 AS "ahead!",
            crashes
        "#,
        worker.0,
        i64::try_from(want.urgent).unwrap_or(i64::MAX),
        i64::try_from(want.any).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("claim lanes"))?;
    let claimed = rows.into_iter().map(|row| Claimed {
        lane: Lane::from_stored(row.lane),
        epoch: row.epoch,
        limiter_ahead: Duration::try_from_secs_f64(row.ahead).unwrap_or(Duration::from_mins(1)),
        crashes: row.crashes,
    });
    Ok(claimed.collect())
}

/// Notes that jobs of lanes complete again: they are suspect no more.
pub(crate) async fn absolve(
    pool: &PgPool,
    worker: WorkerId,
    lanes: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.lanes SET crashes = 0 WHERE lane = ANY ($1) AND owner = $2",
        lanes,
        worker.0,
    )
    .execute(pool)
    .await
    .map_err(Error::database("clear lanes of suspicion"))?;
    Ok(())
}
