//! Claiming lanes.

use std::{collections::HashMap, time::Duration};

use sqlx::PgExecutor;

use super::start::Due;
use crate::{
    error::Error,
    ids::{JobId, Lane, Queue, WorkerId},
    place::Place,
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
    /// The first of its due jobs, in their order, where they were looked at.
    pub(crate) due: Vec<Due>,
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

/// Claims due lanes, urgent ones first, then those that have been due longest; of each, looks at so many
/// of its due jobs of the served queues.
pub(crate) async fn claim(
    database: impl PgExecutor<'_>,
    worker: WorkerId,
    want: Want,
    served: &[String],
    lookahead: usize,
) -> Result<Vec<Claimed>, Error> {
    let stored = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let rows = sqlx::query_file!(
        "src/worker/claim.sql",
        worker.0,
        stored(want.urgent),
        stored(want.any),
        served,
        stored(lookahead),
    )
    .fetch_all(database)
    .await
    .map_err(Error::database("claim lanes"))?;
    let mut claimed = HashMap::new();
    for row in rows {
        let lane = Lane::from_stored(row.lane);
        let owned = claimed.entry(lane.clone()).or_insert_with(|| Claimed {
            lane: lane.clone(),
            epoch: row.epoch,
            limiter_ahead: Duration::try_from_secs_f64(row.ahead).unwrap_or(Duration::from_mins(1)),
            crashes: row.crashes,
            due: Vec::new(),
        });
        // A lane without due jobs has one row, with no job in it.
        let job = (
            row.id,
            row.place,
            row.kind,
            row.queue,
            row.priority,
            row.run_at,
        );
        if let (Some(id), Some(place), Some(kind), Some(queue), Some(priority), Some(run_at)) = job
        {
            owned.due.push(Due {
                id: JobId(id),
                place,
                lane,
                kind,
                queue: Queue::from_stored(&queue),
                priority,
                run_at,
                limit_key: row.limit_key,
                unique_key: row.unique_key,
            });
        }
    }
    let mut claimed: Vec<_> = claimed.into_values().collect();
    for lane in &mut claimed {
        lane.due.sort_by_key(Due::turn);
    }
    Ok(claimed)
}

/// Notes that jobs of lanes complete again: they are suspect no more.
pub(crate) async fn absolve(
    database: impl PgExecutor<'_>,
    worker: WorkerId,
    lanes: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.lanes SET crashes = 0 WHERE lane = ANY ($1) AND owner = $2",
        lanes,
        worker.0,
    )
    .execute(database)
    .await
    .map_err(Error::database("clear lanes of suspicion"))?;
    Ok(())
}
