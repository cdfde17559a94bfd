//! Starting jobs of lanes that are ours.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    attempt::{Lease, Started},
    error::Error,
    ids::{JobId, Lane, Queue, WorkerId},
    view::unsigned,
};

/// A job that is due in a lane of ours.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) id: JobId,
    pub(crate) lane: Lane,
    pub(crate) queue: Option<Queue>,
    pub(crate) limit_key: Option<String>,
}

/// The first due jobs of each lane that are not paused and of a served queue, by priority, then by time;
/// `per_lane` at most of each priority.
pub(crate) async fn due(
    pool: &PgPool,
    lanes: &[String],
    per_lane: usize,
    served: &[String],
) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query_file!(
        "src/worker/due.sql",
        lanes,
        i64::try_from(per_lane).unwrap_or(i64::MAX),
        served,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look for due jobs"))?;
    let due = rows.into_iter().map(|row| Due {
        id: JobId(row.id),
        lane: Lane::from_stored(row.lane),
        queue: Queue::from_stored(&row.queue),
        limit_key: row.limit_key,
    });
    Ok(due.collect())
}

/// Starts jobs, each under the epoch of its lane; those that cannot be started now are left out.
pub(crate) async fn start(
    pool: &PgPool,
    worker: WorkerId,
    jobs: &[(JobId, i64)],
) -> Result<Vec<Arc<Started>>, Error> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) =
        jobs.iter().map(|(id, epoch)| (id.0, *epoch)).unzip();
    let rows = sqlx::query_file!("src/worker/start.sql", &ids, &epochs, worker.0)
        .fetch_all(pool)
        .await
        .map_err(Error::database("start jobs"))?;
    let started = rows.into_iter().filter_map(|row| {
        Some(Arc::new(Started {
            id: JobId(row.id),
            lane: Lane::from_stored(row.lane),
            kind: row.kind,
            queue: Queue::from_stored(&row.queue)?,
            attempt: unsigned(row.attempt),
            max_attempts: unsigned(row.max_attempts),
            payload: row.payload,
            limit_key: row.limit_key,
            trace_context: row.trace_context,
            started_at: row.started_at,
            waited: Duration::try_from_secs_f64(row.waited_seconds).unwrap_or_default(),
            lease: Lease {
                worker,
                epoch: row.epoch,
            },
        }))
    });
    Ok(started.collect())
}
