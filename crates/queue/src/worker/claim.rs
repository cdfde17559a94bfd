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
}

/// How many lanes to claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    /// Lanes in which somebody waits for an answer.
    pub(crate) urgent: usize,
    /// Any lanes.
    pub(crate) any: usize,
}

/// Time until the first unowned lane is due; `None` when none ever is. One look at an index.
pub(crate) async fn next_due(pool: &PgPool) -> Result<Option<Duration>, Error> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT extract(epoch FROM min(due_at) - now())::float8 AS seconds
        FROM syncline.lanes
        WHERE owner IS NULL AND due_at IS NOT NULL
        "#
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("look for due lanes"))?;
    Ok(seconds
        .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Claims due lanes, urgent ones first, then those that have been due longest.
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
        RETURNING
            lane,
            epoch,
            greatest(coalesce(extract(epoch FROM limiter_tat - now()), 0), 0)::float8 AS "ahead!"
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
    });
    Ok(claimed.collect())
}
