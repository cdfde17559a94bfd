//! Enqueueing, in the caller's transaction.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    error::Error,
    ids::{JobId, Lane, Queue, check_name},
    job::{Job, UniqueWhile},
    trace,
};

/// Bytes a payload may have as JSON.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// Bytes a unique or limit key may have.
const MAX_KEY_BYTES: usize = 300;

/// A job to be enqueued: the payload, and where and when it is to run.
#[derive(Debug, Clone)]
pub struct NewJob {
    kind: &'static str,
    queue: Queue,
    lane: Lane,
    priority: i16,
    max_attempts: u16,
    /// JSON.
    payload: String,
    unique_key: Option<String>,
    is_unique_while_running: bool,
    limit_key: Option<String>,
    start: Start,
    organization_id: Option<String>,
    tags: Vec<String>,
    trace: Trace,
}

/// The trace that a job belongs to.
#[derive(Debug, Clone, Default)]
enum Trace {
    /// That of what enqueues it.
    #[default]
    Inherited,
    Given(String),
    /// One that begins with it.
    Own,
}

impl Trace {
    fn or<'a>(&'a self, inherited: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Inherited => inherited,
            Self::Given(traceparent) => Some(traceparent),
            Self::Own => None,
        }
    }
}

/// The earliest start, by the database's clock.
#[derive(Debug, Clone, Copy)]
enum Start {
    After(Duration),
    At(DateTime<Utc>),
}

impl Start {
    /// As seconds to wait, or as the time itself.
    fn columns(self) -> (Option<f64>, Option<DateTime<Utc>>) {
        match self {
            Self::After(delay) => (Some(delay.as_secs_f64()), None),
            Self::At(at) => (None, Some(at)),
        }
    }
}

impl NewJob {
    /// A job to be run as soon as there is a slot.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::PayloadTooLarge`], and [`Error::InvalidName`] for a lane or key that
    /// is empty, too long, or holds a NUL character.
    pub fn new<J: Job>(job: &J) -> Result<Self, Error> {
        let payload = serde_json::to_string(job).map_err(|source| Error::Encode {
            kind: J::KIND,
            source,
        })?;
        let size_bytes = payload.len();
        if size_bytes > MAX_PAYLOAD_BYTES {
            let limit_bytes = MAX_PAYLOAD_BYTES;
            return Err(Error::PayloadTooLarge {
                kind: J::KIND,
                size_bytes,
                limit_bytes,
            });
        }
        let lane = job.lane();
        lane.check()?;
        let (unique_key, limit_key) = (job.unique_key(), job.limit_key());
        for (what, key) in [("unique key", &unique_key), ("limit key", &limit_key)] {
            if let Some(key) = key {
                check_name(what, key, MAX_KEY_BYTES)?;
            }
        }
        Ok(Self {
            kind: J::KIND,
            queue: J::QUEUE,
            lane,
            priority: J::PRIORITY,
            max_attempts: J::RETRY.max_attempts,
            payload,
            unique_key,
            is_unique_while_running: J::UNIQUE == UniqueWhile::PendingOrRunning,
            limit_key,
            start: Start::After(Duration::ZERO),
            organization_id: None,
            tags: Vec::new(),
            trace: Trace::default(),
        })
    }

    /// Not before this much time has passed, on the database's clock.
    #[must_use]
    pub fn run_after(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Not before this time, to the microsecond.
    #[must_use]
    pub fn run_at(mut self, at: DateTime<Utc>) -> Self {
        self.start = Start::At(at);
        self
    }

    /// Instead of [`Job::PRIORITY`]; lower runs first.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Instead of the policy's; at least 1.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u16) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }

    /// For people who look for it.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    /// The W3C `traceparent` of what it belongs to, if that is not what enqueues it; what is no such thing is left out.
    #[must_use]
    pub fn trace_context(mut self, traceparent: &str) -> Self {
        if trace::parse(traceparent).is_some() {
            self.trace = Trace::Given(traceparent.to_owned());
        }
        self
    }

    /// Begins a trace of its own, for a job that follows the one before for ever: their trace would have no end.
    #[must_use]
    pub fn own_trace(mut self) -> Self {
        self.trace = Trace::Own;
        self
    }

    /// Whose job it is: only that organization may see it.
    #[must_use]
    pub fn organization(mut self, organization_id: &str) -> Self {
        self.organization_id = Some(organization_id.to_owned());
        self
    }

    fn stored_max_attempts(&self) -> i16 {
        i16::try_from(self.max_attempts).unwrap_or(i16::MAX)
    }
}

/// What became of a job that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The new job, or the pending one that holds the same unique key.
    pub id: JobId,
    /// Whether a job was added.
    pub is_new: bool,
}

/// A connection or transaction that jobs can be enqueued through.
pub trait EnqueueInto: Send {
    /// The connection itself.
    fn connection(&mut self) -> &mut PgConnection;
    /// Called when a job was added, so that workers can be woken after the commit.
    fn note_enqueued(&mut self) {}
    /// The job on whose behalf this is done, if one is.
    fn parent(&self) -> Option<Parent<'_>> {
        None
    }
}

/// The job that enqueues another.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// Its id.
    pub id: JobId,
    /// Its trace, which its children belong to unless they say otherwise.
    pub trace_context: Option<&'a str>,
}

impl EnqueueInto for PgConnection {
    fn connection(&mut self) -> &mut PgConnection {
        self
    }
}

impl EnqueueInto for Transaction<'_, Postgres> {
    fn connection(&mut self) -> &mut PgConnection {
        self
    }
}

/// Enqueues one job; it exists when, and only when, the caller's transaction commits.
///
/// Call [`crate::Client::wake`] after the commit, or a worker finds the job at its next poll. (A
/// [`crate::FencedTx`] does so by itself.)
///
/// # Errors
/// [`Error::Database`].
pub async fn enqueue(
    target: &mut (impl EnqueueInto + ?Sized),
    job: &NewJob,
) -> Result<Enqueued, Error> {
    if job.unique_key.is_some() {
        let mut enqueued = enqueue_many(target, std::slice::from_ref(job)).await?;
        return Ok(enqueued.swap_remove(0));
    }
    let (parent_id, inherited) = descent(target);
    let (id, (delay, time)) = (JobId::generate(), job.start.columns());
    sqlx::query_file!(
        "src/enqueue/enqueue_one.sql",
        id.0,
        job.lane.as_str(),
        job.kind,
        job.queue.as_str(),
        job.priority,
        delay,
        time,
        job.stored_max_attempts(),
        &job.payload,
        job.limit_key.as_deref(),
        job.organization_id.as_deref(),
        &job.tags,
        job.trace.or(inherited.as_deref()),
        parent_id,
        Queue::SYNC.as_str(),
    )
    .execute(target.connection())
    .await
    .map_err(Error::database("enqueue a job"))?;
    target.note_enqueued();
    count(job, 1);
    Ok(Enqueued { id, is_new: true })
}

/// The job that enqueues, and the trace of it, or of what else runs now.
fn descent(target: &(impl EnqueueInto + ?Sized)) -> (Option<uuid::Uuid>, Option<String>) {
    let parent = target.parent();
    let of_parent = parent.and_then(|parent| parent.trace_context);
    (
        parent.map(|parent| parent.id.0),
        trace::current().or_else(|| of_parent.map(str::to_owned)),
    )
}

/// Counts jobs of the kind and queue of this one.
fn count(job: &NewJob, jobs: u64) {
    metrics::counter!(
        "syncline_jobs_enqueued_total", "queue" => job.queue.as_str(), "kind" => job.kind
    )
    .increment(jobs);
}

/// Enqueues many jobs in one statement; the answers are in the order of `jobs`.
///
/// # Errors
/// [`Error::Database`].
pub async fn enqueue_many(
    target: &mut (impl EnqueueInto + ?Sized),
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, Error> {
    let (parent_id, inherited) = descent(target);
    let batch = Batch::of(jobs, inherited.as_deref());
    let rows = sqlx::query_file!(
        "src/enqueue/enqueue.sql",
        &batch.ids,
        &batch.lanes as _,
        &batch.kinds as _,
        &batch.queues as _,
        &batch.priorities,
        &batch.delays as _,
        &batch.times as _,
        &batch.max_attempts,
        &batch.payloads as _,
        &batch.unique_keys as _,
        &batch.unique_while_running,
        &batch.limit_keys as _,
        &batch.organizations as _,
        &batch.tags as _,
        &batch.trace_contexts as _,
        parent_id,
        Queue::SYNC.as_str(),
    )
    .fetch_all(target.connection())
    .await
    .map_err(Error::database("enqueue jobs"))?;

    let holders: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.holder)).collect();
    let answer = |first: &usize| {
        let id = batch.ids[*first];
        let holder = holders.get(&id).copied().unwrap_or(id);
        Enqueued {
            id: JobId(holder),
            is_new: holder == id,
        }
    };
    let mut enqueued: Vec<_> = batch.first_of.iter().map(answer).collect();
    for (index, at) in batch.first_of.iter().enumerate() {
        // The second of two equal keys in one call is never new.
        enqueued[index].is_new &= batch.source_of[*at] == index;
    }
    let new: Vec<_> = jobs
        .iter()
        .zip(&enqueued)
        .filter_map(|(job, enqueued)| enqueued.is_new.then_some(job))
        .collect();
    if !new.is_empty() {
        target.note_enqueued();
    }
    // Mostly they are all of one kind, or neighbours are.
    for alike in new.chunk_by(|job, next| (job.kind, job.queue) == (next.kind, next.queue)) {
        count(alike[0], alike.len() as u64);
    }
    Ok(enqueued)
}

/// The jobs as columns, each unique key once: one statement cannot meet a key twice.
#[derive(Default)]
struct Batch<'a> {
    ids: Vec<uuid::Uuid>,
    lanes: Vec<&'a str>,
    kinds: Vec<&'a str>,
    queues: Vec<&'a str>,
    priorities: Vec<i16>,
    delays: Vec<Option<f64>>,
    times: Vec<Option<DateTime<Utc>>>,
    max_attempts: Vec<i16>,
    payloads: Vec<&'a str>,
    unique_keys: Vec<Option<&'a str>>,
    unique_while_running: Vec<bool>,
    limit_keys: Vec<Option<&'a str>>,
    organizations: Vec<Option<&'a str>>,
    tags: Vec<Option<Value>>,
    trace_contexts: Vec<Option<&'a str>>,
    /// For each job handed over, the row that stands for it.
    first_of: Vec<usize>,
    /// For each row, the job it was made from.
    source_of: Vec<usize>,
}

impl<'a> Batch<'a> {
    fn of(jobs: &'a [NewJob], inherited: Option<&'a str>) -> Self {
        let mut batch = Self::default();
        let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
        for (index, job) in jobs.iter().enumerate() {
            let key = job.unique_key.as_deref().map(|key| (job.kind, key));
            if let Some(first) = key.and_then(|key| seen.get(&key)) {
                batch.first_of.push(*first);
                continue;
            }
            let row = batch.ids.len();
            if let Some(key) = key {
                seen.insert(key, row);
            }
            batch.first_of.push(row);
            batch.source_of.push(index);
            batch.push(job, inherited);
        }
        batch
    }

    fn push(&mut self, job: &'a NewJob, inherited: Option<&'a str>) {
        let (delay, time) = job.start.columns();
        self.ids.push(JobId::generate().0);
        self.lanes.push(job.lane.as_str());
        self.kinds.push(job.kind);
        self.queues.push(job.queue.as_str());
        self.priorities.push(job.priority);
        self.delays.push(delay);
        self.times.push(time);
        self.max_attempts.push(job.stored_max_attempts());
        self.payloads.push(&job.payload);
        self.unique_keys.push(job.unique_key.as_deref());
        self.unique_while_running.push(job.is_unique_while_running);
        self.limit_keys.push(job.limit_key.as_deref());
        self.organizations.push(job.organization_id.as_deref());
        self.tags
            .push((!job.tags.is_empty()).then(|| Value::from(job.tags.clone())));
        self.trace_contexts.push(job.trace.or(inherited));
    }
}

#[cfg(test)]
mod tests;
