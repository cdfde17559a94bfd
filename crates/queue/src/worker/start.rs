//! Starting jobs of lanes that are ours.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    attempt::{Lease, Started},
    error::Error,
    ids::{JobId, Lane, Queue, WorkerId},
    notes::Notebook,
    place::Place,
    view::unsigned,
};

/// A job that is due in a lane of ours.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) id: JobId,
    pub(crate) place: Place,
    pub(crate) lane: Lane,
    pub(crate) kind: String,
    pub(crate) queue: Option<Queue>,
    pub(crate) priority: i16,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) limit_key: Option<String>,
    /// Only when it is given up at the start.
    pub(crate) unique_key: Option<String>,
}

impl Due {
    /// Lower runs first.
    pub(crate) fn turn(&self) -> impl Ord + use<> {
        (self.priority, self.run_at, self.id)
    }
}

/// The first due jobs of each lane that are not paused and of a served queue, by priority, then by time; of
/// each lane as many at most as stands beside it.
pub(crate) async fn due(
    database: impl PgExecutor<'_>,
    lanes: &[(Lane, usize)],
    served: &[String],
) -> Result<Vec<Due>, Error> {
    let (names, at_most): (Vec<String>, Vec<i64>) = lanes
        .iter()
        .map(|(lane, at_most)| {
            let at_most = i64::try_from(*at_most).unwrap_or(i64::MAX);
            (lane.as_str().to_owned(), at_most)
        })
        .unzip();
    let rows = sqlx::query_file!("src/worker/due.sql", &names, &at_most, served)
        .fetch_all(database)
        .await
        .map_err(Error::database("look for due jobs"))?;
    let due = rows.into_iter().map(|row| Due {
        id: JobId(row.id),
        place: row.place,
        lane: Lane::from_stored(row.lane),
        kind: row.kind,
        queue: Queue::from_stored(&row.queue),
        priority: row.priority,
        run_at: row.run_at,
        limit_key: row.limit_key,
        unique_key: row.unique_key,
    });
    let mut due: Vec<_> = due.collect();
    due.sort_by_key(Due::turn);
    Ok(due)
}

/// Jobs to start, as columns, each under the epoch of its lane.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Each lane once, under its epoch.
    lanes: Vec<String>,
    epochs: Vec<i64>,
    ids: Vec<Uuid>,
    places: Vec<Place>,
    /// Which of the lanes, from 1.
    lane_numbers: Vec<i64>,
    run_ats: Vec<DateTime<Utc>>,
    keyed_ids: Vec<Uuid>,
    keyed_kinds: Vec<String>,
    unique_keys: Vec<String>,
}

impl Chosen {
    /// Jobs of one lane come one after another.
    pub(crate) fn push(&mut self, job: Due, epoch: i64) {
        if self.lanes.last().map(String::as_str) != Some(job.lane.as_str()) {
            self.lanes.push(job.lane.as_str().to_owned());
            self.epochs.push(epoch);
        }
        if let Some(unique_key) = job.unique_key {
            self.keyed_ids.push(job.id.0);
            self.keyed_kinds.push(job.kind);
            self.unique_keys.push(unique_key);
        }
        self.ids.push(job.id.0);
        self.places.push(job.place);
        self.lane_numbers
            .push(i64::try_from(self.lanes.len()).unwrap_or(i64::MAX));
        self.run_ats.push(job.run_at);
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Starts jobs; those that cannot be started now are left out.
pub(crate) async fn start(
    database: impl PgExecutor<'_>,
    worker: WorkerId,
    chosen: &Chosen,
) -> Result<Vec<Arc<Started>>, Error> {
    let rows = sqlx::query_file!(
        "src/worker/start.sql",
        &chosen.lanes,
        &chosen.epochs,
        worker.0,
        &chosen.places as _,
        &chosen.ids,
        &chosen.lane_numbers,
        &chosen.run_ats,
        &chosen.keyed_ids,
        &chosen.keyed_kinds,
        &chosen.unique_keys,
    )
    .fetch_all(database)
    .await
    .map_err(Error::database("start jobs"))?;
    let started = rows.into_iter().filter_map(|row| {
        Some(Arc::new(Started {
            id: JobId(row.id),
            place: row.place,
            lane: Lane::from_stored(row.lane),
            kind: row.kind,
            queue: Queue::from_stored(&row.queue)?,
            attempt: unsigned(row.attempt),
            max_attempts: unsigned(row.max_attempts),
            payload: row.payload,
            limit_key: row.limit_key,
            held_key: row.held_key,
            trace_context: row.trace_context,
            started_at: row.started_at,
            waited: Duration::try_from_secs_f64(row.waited_seconds).unwrap_or_default(),
            lease: Lease {
                worker,
                epoch: row.epoch,
            },
            span: OnceLock::new(),
            notebook: Notebook::begin(),
        }))
    });
    Ok(started.collect())
}
