//! Letting lanes go.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::{
    error::Error,
    ids::{Lane, Queue, WorkerId},
};

/// A lane to let go, with what the next owner must know.
#[derive(Debug)]
pub(crate) struct Releasable {
    pub(crate) lane: Lane,
    pub(crate) epoch: i64,
    pub(crate) limiter_ahead: Duration,
    /// A start in it was not answered: perhaps jobs run that nobody knows of. Then it is kept.
    pub(crate) is_doubtful: bool,
}

/// Lets lanes go; answers those that are no longer ours. A lane somebody is enqueueing into is left for
/// the next round.
///
/// Two statements, and the order matters: the lane is locked first, so the second reads every job whose
/// enqueueing met the lane as owned (and therefore wrote nothing on it). Pauses are locked before lanes:
/// whoever resumes takes the pause away first, so either this sees it gone, or the one who resumes sees
/// what this wrote.
pub(crate) async fn release(
    connection: &mut PgConnection,
    worker: WorkerId,
    lanes: &[Releasable],
    served: &[String],
) -> Result<Vec<Lane>, Error> {
    let names: Vec<String> = lanes
        .iter()
        .map(|lane| lane.lane.as_str().to_owned())
        .collect();
    let epochs: Vec<i64> = lanes.iter().map(|lane| lane.epoch).collect();
    let aheads: Vec<f64> = lanes
        .iter()
        .map(|lane| lane.limiter_ahead.as_secs_f64())
        .collect();
    let doubts: Vec<bool> = lanes.iter().map(|lane| lane.is_doubtful).collect();
    let mut tx = connection
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let locked = sqlx::query_scalar!(
        r#"
        WITH pauses AS MATERIALIZED (
            SELECT FROM syncline.pauses FOR KEY SHARE
        )
        SELECT lane
        FROM syncline.lanes
        WHERE lane = ANY ($1) AND (SELECT count(*) FROM pauses) >= 0
        ORDER BY lane
        FOR UPDATE SKIP LOCKED
        "#,
        &names,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("lock lanes to let go"))?;
    sqlx::query_file!(
        "src/worker/release.sql",
        &names,
        &epochs,
        &aheads,
        worker.0,
        &locked,
        Queue::SYNC.as_str(),
        served,
        &doubts,
    )
    .execute(&mut *tx)
    .await
    .map_err(Error::database("let lanes go"))?;
    tx.commit().await.map_err(Error::database("let lanes go"))?;
    // Locked and not updated means that somebody else owns it: not ours either. Or that jobs run in it
    // that we did not know of: the next reconciliation adopts it and hands them back.
    Ok(locked.into_iter().map(Lane::from_stored).collect())
}
