//! Actions on single jobs, each refusing clearly what cannot be done.

use chrono::{DateTime, Utc};
use phrases::{Phrase, mark, say};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::filter::{check_time, invalid};
use crate::{
    error::Error,
    ids::{JobId, check_name},
    registry::Registry,
    view::{self, JobState},
};

pub(super) mod write;

/// Bytes a reason may have.
const MAX_REASON_BYTES: usize = 1_000;

/// Who wants something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// A user, a key, a job.
    pub by: String,
    /// For people.
    pub reason: String,
}

impl Request {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_name("name of who asks", &self.by, MAX_REASON_BYTES)?;
        check_name("reason", &self.reason, MAX_REASON_BYTES)
    }

    /// The text a cancelled job keeps.
    pub(super) fn of_cancelled(&self) -> String {
        format!("cancelled by {}: {}", self.by, self.reason)
    }
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cancelled {
    /// It waited: it is in history, as cancelled.
    Ended,
    /// It runs: its worker stops it within a second. If it is put back instead, it is cancelled then.
    Requested,
}

/// What can be changed of a waiting job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edit {
    /// Earliest start.
    pub run_at: Option<DateTime<Utc>>,
    /// Lower runs first within its lane.
    pub priority: Option<i16>,
}

/// Runs an ended job again, with a fresh set of attempts; answers the id under which it lives.
///
/// A dead job keeps its id and the history of its attempts. One that was completed or cancelled stays in
/// history, and a new job with it as parent is enqueued; `registry` tells that job's keys.
///
/// # Errors
/// [`Error::NoSuchJob`]; [`Error::Refused`] when it has not ended, when a job with its unique key waits
/// already, or when this program does not know its kind or cannot decode its payload.
pub async fn retry<C: Send + Sync + 'static>(
    tx: &mut PgConnection,
    registry: &Registry<C>,
    id: JobId,
) -> Result<JobId, Error> {
    if !write::revive(tx, &[id.0]).await?.is_empty() {
        return Ok(id);
    }
    let state = state_of(tx, id).await?;
    let refused = |advice| Error::refused(mark!("retry"), id, state, advice);
    match state {
        JobState::Completed | JobState::Cancelled => {}
        JobState::Dead => return Err(refused(twin_waits())),
        JobState::Scheduled | JobState::Available | JobState::Retryable => {
            return Err(refused(say!(
                "it will run by itself: use retry now to have it run at once"
            )));
        }
        JobState::Running => return Err(refused(say!("wait for its end, or cancel it"))),
    }
    let again = write::enqueue_again(tx, registry, &[id.0]).await?;
    if let Some(new) = again.added.first() {
        return Ok(JobId(*new));
    }
    Err(match again.unknown.into_iter().next() {
        Some((_, reason)) => refused(Phrase::verbatim(reason)),
        None => refused(twin_waits()),
    })
}

fn twin_waits() -> Phrase {
    say!(
        "a job with the same unique key waits already and does its work: let that one run, or cancel it first"
    )
}

/// Lets a waiting job start at once, as far as its lane allows.
///
/// # Errors
/// [`Error::NoSuchJob`]; [`Error::Refused`] when it does not wait.
pub async fn retry_now(tx: &mut PgConnection, id: JobId) -> Result<(), Error> {
    if write::run_now(tx, &[id.0]).await?.is_empty() {
        return Err(not_waiting(tx, mark!("retry now"), id).await);
    }
    Ok(())
}

/// Changes the time or the priority of a waiting job.
///
/// # Errors
/// [`Error::InvalidRequest`] for a time outside 1970 to 2200, or when nothing is to be changed;
/// [`Error::NoSuchJob`]; [`Error::Refused`] when it does not wait.
pub async fn edit(tx: &mut PgConnection, id: JobId, edit: Edit) -> Result<(), Error> {
    if edit == Edit::default() {
        return Err(invalid("edit", "it changes nothing".to_owned()));
    }
    if let Some(run_at) = edit.run_at {
        check_time("earliest start", run_at)?;
    }
    if write::edit(tx, &[id.0], edit).await?.is_empty() {
        return Err(not_waiting(tx, mark!("edit"), id).await);
    }
    Ok(())
}

/// Ends a waiting job; asks the worker of a running one to stop it.
///
/// # Errors
/// [`Error::NoSuchJob`]; [`Error::Refused`] when it has ended; [`Error::InvalidName`] for a request
/// without a name or a reason.
pub async fn cancel(
    tx: &mut PgConnection,
    id: JobId,
    request: &Request,
) -> Result<Cancelled, Error> {
    request.check()?;
    if !write::cancel_waiting(tx, &[id.0], request)
        .await?
        .is_empty()
    {
        return Ok(Cancelled::Ended);
    }
    if !write::ask_to_stop(tx, &[id.0], request).await?.is_empty() {
        return Ok(Cancelled::Requested);
    }
    let state = state_of(tx, id).await?;
    let advice = match state {
        JobState::Dead => say!("it has ended: delete it"),
        JobState::Completed | JobState::Cancelled => say!("it has ended"),
        // It came back between two of our looks.
        JobState::Scheduled | JobState::Available | JobState::Retryable | JobState::Running => {
            say!("it is changing just now: try again")
        }
    };
    Err(Error::refused(mark!("cancel"), id, state, advice))
}

/// Removes a dead or waiting job for good.
///
/// # Errors
/// [`Error::NoSuchJob`]; [`Error::Refused`] when it runs or is in history.
pub async fn delete(tx: &mut PgConnection, id: JobId) -> Result<(), Error> {
    let ids = [id.0];
    if !write::delete_dead(tx, &ids).await?.is_empty()
        || !write::delete_waiting(tx, &ids).await?.is_empty()
    {
        return Ok(());
    }
    let state = state_of(tx, id).await?;
    let advice = match state {
        JobState::Running => say!("cancel it first"),
        JobState::Completed | JobState::Cancelled => say!("history goes by itself, day by day"),
        JobState::Scheduled | JobState::Available | JobState::Retryable | JobState::Dead => {
            say!("it is changing just now: try again")
        }
    };
    Err(Error::refused(mark!("delete"), id, state, advice))
}

async fn not_waiting(tx: &mut PgConnection, action: &'static str, id: JobId) -> Error {
    let state = match state_of(tx, id).await {
        Ok(state) => state,
        Err(error) => return error,
    };
    let advice = match state {
        JobState::Running => say!("it runs already: wait for its end, or cancel it"),
        JobState::Dead | JobState::Completed | JobState::Cancelled => {
            say!("it has ended: retry it")
        }
        JobState::Scheduled | JobState::Available | JobState::Retryable => {
            say!("it is changing just now: try again")
        }
    };
    Error::refused(action, id, state, advice)
}

async fn state_of(tx: &mut PgConnection, id: JobId) -> Result<JobState, Error> {
    view::state(tx, id).await?.ok_or(Error::NoSuchJob { id })
}
