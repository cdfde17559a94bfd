//! The statements that end attempts, each behind the fence.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Outcome, Settlement};
use crate::{attempt::Started, error::Error, ids::JobId, place::Place};

/// Writes outcomes in one transaction; answers the jobs whose outcome was taken. The others were
/// refused: their lease is lost, or they were settled before.
pub(crate) async fn write(
    connection: &mut PgConnection,
    settlements: &[Settlement],
) -> Result<HashSet<JobId>, Error> {
    let mut columns = Columns::default();
    for settlement in settlements {
        columns.push(settlement);
    }
    if columns.is_empty() {
        return Ok(HashSet::new());
    }
    let mut accepted = Vec::new();
    if columns.is_only_done() {
        // Each statement is a transaction of its own.
        accepted.extend(complete(connection, &mut columns.done).await?);
        return Ok(accepted.into_iter().map(JobId).collect());
    }
    let mut tx = connection
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    if !columns.done.ids.is_empty() {
        accepted.extend(complete(&mut tx, &mut columns.done).await?);
    }
    if !columns.cancelled.run.ids.is_empty() {
        accepted.extend(cancel(&mut tx, &columns.cancelled).await?);
    }
    if !columns.dead.run.ids.is_empty() {
        accepted.extend(bury(&mut tx, &columns.dead).await?);
    }
    if !columns.put_back.run.ids.is_empty() {
        accepted.extend(put_back(&mut tx, &columns.put_back).await?);
    }
    tx.commit().await.map_err(Error::database("settle jobs"))?;
    Ok(accepted.into_iter().map(JobId).collect())
}

/// Which attempts, under which lease.
#[derive(Default)]
struct Runs {
    places: Vec<Place>,
    ids: Vec<Uuid>,
    attempts: Vec<i16>,
    workers: Vec<Uuid>,
    epochs: Vec<i64>,
    held: HeldKeys,
    told: Told,
}

/// What attempts left for people, of those that left something.
#[derive(Default)]
struct Told {
    ids: Vec<Uuid>,
    notes: Vec<String>,
}

/// The unique keys that jobs hold until they end.
#[derive(Default)]
struct HeldKeys {
    ids: Vec<Uuid>,
    kinds: Vec<String>,
    keys: Vec<String>,
}

impl Runs {
    fn push(&mut self, job: &Started) {
        self.places.push(job.place);
        self.ids.push(job.id.0);
        self.attempts
            .push(i16::try_from(job.attempt).unwrap_or(i16::MAX));
        self.workers.push(job.lease.worker.0);
        self.epochs.push(job.lease.epoch);
        if let Some(key) = &job.held_key {
            self.held.ids.push(job.id.0);
            self.held.kinds.push(job.kind.clone());
            self.held.keys.push(key.clone());
        }
        if let Some(notes) = job.notebook.written() {
            self.told.ids.push(job.id.0);
            self.told.notes.push(notes);
        }
    }
}

/// Attempts that ended badly.
#[derive(Default)]
struct Failed {
    run: Runs,
    classes: Vec<String>,
    messages: Vec<String>,
    http_statuses: Vec<Option<i16>>,
}

/// Jobs that will run again. Without a class there was no failure: the attempt is given back.
#[derive(Default)]
struct PutBack {
    run: Runs,
    started: Vec<DateTime<Utc>>,
    delays: Vec<f64>,
    classes: Vec<Option<String>>,
    messages: Vec<Option<String>>,
    http_statuses: Vec<Option<i16>>,
    parks_lane: Vec<bool>,
}

#[derive(Default)]
struct Columns {
    done: Runs,
    cancelled: Failed,
    dead: Failed,
    put_back: PutBack,
}

impl Columns {
    fn is_empty(&self) -> bool {
        self.done.ids.is_empty() && self.is_only_done()
    }

    fn is_only_done(&self) -> bool {
        self.cancelled.run.ids.is_empty()
            && self.dead.run.ids.is_empty()
            && self.put_back.run.ids.is_empty()
    }

    fn push(&mut self, Settlement { job, outcome, .. }: &Settlement) {
        let status = |status: &Option<u16>| status.and_then(|status| i16::try_from(status).ok());
        let mut fail = |to: Which, class: &str, message: &str, http_status| {
            let failed = match to {
                Which::Cancelled => &mut self.cancelled,
                Which::Dead => &mut self.dead,
            };
            failed.run.push(job);
            failed.classes.push(class.to_owned());
            failed.messages.push(message.to_owned());
            failed.http_statuses.push(http_status);
        };
        match outcome {
            Outcome::Done => self.done.push(job),
            Outcome::Written | Outcome::Fenced => {}
            Outcome::Cancelled { class, message } => fail(Which::Cancelled, class, message, None),
            Outcome::Dead {
                class,
                message,
                http_status,
            } => {
                fail(Which::Dead, class, message, status(http_status));
            }
            Outcome::Retry {
                delay,
                class,
                message,
                http_status,
            } => {
                let (class, message) = (Some((*class).to_owned()), Some(message.clone()));
                self.put_back
                    .push(job, delay.as_secs_f64(), class, message, false);
                self.put_back.http_statuses.push(status(http_status));
            }
            Outcome::Snooze {
                delay,
                message,
                parks_lane,
            } => {
                let message = Some(message.clone());
                self.put_back
                    .push(job, delay.as_secs_f64(), None, message, *parks_lane);
                self.put_back.http_statuses.push(None);
            }
            Outcome::HandedBack => {
                self.put_back.push(job, 0.0, None, None, false);
                self.put_back.http_statuses.push(None);
            }
        }
    }
}

enum Which {
    Cancelled,
    Dead,
}

impl PutBack {
    fn push(
        &mut self,
        job: &Started,
        delay: f64,
        class: Option<String>,
        message: Option<String>,
        parks_lane: bool,
    ) {
        self.run.push(job);
        self.started.push(job.started_at);
        self.delays.push(delay);
        self.classes.push(class);
        self.messages.push(message);
        self.parks_lane.push(parks_lane);
    }
}

async fn complete(tx: &mut PgConnection, runs: &mut Runs) -> Result<Vec<Uuid>, Error> {
    let mut completed = complete_in_place(tx, runs).await?;
    if completed.len() < runs.ids.len() {
        // Written since they were started, though they may still be ours.
        find_again(tx, runs).await?;
        completed.extend(complete_in_place(tx, runs).await?);
    }
    Ok(completed)
}

/// Leaves those that are still there, at the places where they are now.
async fn find_again(tx: &mut PgConnection, runs: &mut Runs) -> Result<(), Error> {
    let rows = sqlx::query!(
        r#"
        SELECT ctid AS "place!: Place", id FROM syncline.jobs WHERE id = ANY ($1)
        "#,
        &runs.ids,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("find jobs again"))?;
    let places: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.place)).collect();
    let lost = std::mem::take(runs);
    (runs.held, runs.told) = (lost.held, lost.told);
    for (at, id) in lost.ids.into_iter().enumerate() {
        if let Some(place) = places.get(&id) {
            runs.places.push(*place);
            runs.ids.push(id);
            runs.attempts.push(lost.attempts[at]);
            runs.workers.push(lost.workers[at]);
            runs.epochs.push(lost.epochs[at]);
        }
    }
    Ok(())
}

async fn complete_in_place(tx: &mut PgConnection, runs: &Runs) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!(
        "src/worker/settle/complete.sql",
        &runs.places as _,
        &runs.ids,
        &runs.attempts,
        &runs.workers,
        &runs.epochs,
        &runs.held.ids,
        &runs.held.kinds,
        &runs.held.keys,
        &runs.told.ids,
        &runs.told.notes,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("complete jobs"))
}

async fn cancel(tx: &mut PgConnection, failed: &Failed) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!(
        "src/worker/settle/cancel.sql",
        &failed.run.ids,
        &failed.run.attempts,
        &failed.run.workers,
        &failed.run.epochs,
        &failed.classes,
        &failed.messages,
        &failed.run.told.ids,
        &failed.run.told.notes,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("cancel jobs"))
}

async fn bury(tx: &mut PgConnection, failed: &Failed) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!(
        "src/worker/settle/bury.sql",
        &failed.run.ids,
        &failed.run.attempts,
        &failed.run.workers,
        &failed.run.epochs,
        &failed.classes,
        &failed.messages,
        &failed.http_statuses as _,
        &failed.run.told.ids,
        &failed.run.told.notes,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("move jobs to the dead"))
}

async fn put_back(tx: &mut PgConnection, jobs: &PutBack) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!(
        "src/worker/settle/put_back.sql",
        &jobs.run.ids,
        &jobs.run.attempts,
        &jobs.run.workers,
        &jobs.run.epochs,
        &jobs.started,
        &jobs.delays,
        &jobs.classes as _,
        &jobs.messages as _,
        &jobs.http_statuses as _,
        &jobs.parks_lane,
        &jobs.run.told.ids,
        &jobs.run.told.notes,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("put jobs back"))
}
