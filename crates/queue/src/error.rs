//! What can go wrong in the queue's own work.

use std::time::Duration;

use phrases::Phrase;

use crate::{
    ids::{JobId, Lane},
    schedule::Fault,
    view::JobState,
};

/// Faults of the queue; the cause of each is its `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The worker no longer holds the job's lane: nothing was written, and nothing more must be done.
    #[error("the lease of lane `{lane}` was lost while job {job_id} ran")]
    Fenced {
        /// The job that was running.
        job_id: JobId,
        /// Its lane.
        lane: Lane,
    },
    /// A statement failed.
    #[error("cannot {operation}")]
    Database {
        /// What was being done, as a verb phrase.
        operation: &'static str,
        /// What the database or the connection said.
        #[source]
        source: sqlx::Error,
    },
    /// A payload could not be turned into JSON.
    #[error("cannot encode the payload of a `{kind}` job")]
    Encode {
        /// The job's kind.
        kind: &'static str,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// A stored payload does not fit the job's type.
    #[error("cannot decode the payload of a `{kind}` job")]
    Decode {
        /// The job's kind.
        kind: &'static str,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// A payload is larger than a job may carry.
    #[error(
        "the payload of a `{kind}` job has {size_bytes} bytes, more than the {limit_bytes} allowed: \
         store the data and enqueue its id"
    )]
    PayloadTooLarge {
        /// The job's kind.
        kind: &'static str,
        /// What it has.
        size_bytes: usize,
        /// What it may have.
        limit_bytes: usize,
    },
    /// A name that cannot be a lane, queue or key.
    #[error("{what} {name:?} is not valid: {rule}")]
    InvalidName {
        /// `lane`, `unique key` …
        what: &'static str,
        /// As it was given, cut to 80 characters.
        name: String,
        /// What it has to fulfil.
        rule: &'static str,
    },
    /// A schedule that cannot work; nothing was changed.
    #[error("the schedule `{name}` cannot work")]
    Schedule {
        /// The job's kind.
        name: String,
        /// What is wrong with it, and what to write instead.
        #[source]
        source: Fault,
    },
    /// There is no such schedule.
    #[error("there is no schedule `{name}`; there are: {known}")]
    UnknownSchedule {
        /// As it was asked for.
        name: String,
        /// Those there are, joined by commas.
        known: String,
    },
    /// A kind that this program has no code for.
    #[error("no job of the kind `{kind}` is known here")]
    UnknownKind {
        /// The kind.
        kind: String,
    },
    /// There is no such job, or it went with its day.
    #[error("there is no job {id}")]
    NoSuchJob {
        /// The id that was asked for.
        id: JobId,
    },
    /// What was asked of a job cannot be done as it stands; nothing was changed.
    #[error("cannot {action} job {id}, which is {}: {advice}", state.as_str())]
    Refused {
        /// What was asked, as a verb phrase.
        action: &'static str,
        /// The job.
        id: JobId,
        /// How it stands.
        state: JobState,
        /// What to do instead.
        advice: Phrase,
    },
    /// A filter or an edit that cannot be meant.
    #[error("the {what} asked for is not valid: {reason}")]
    InvalidRequest {
        /// The part at fault.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A transaction's task was cut off by the runtime's end.
    #[error("the runtime is shutting down")]
    ShuttingDown,
}

impl Error {
    /// For `map_err`: names the operation that failed.
    pub(crate) fn database(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { operation, source }
    }

    /// What cannot be done to a job, and what can.
    pub(crate) fn refused(
        action: &'static str,
        id: JobId,
        state: JobState,
        advice: Phrase,
    ) -> Self {
        Self::Refused {
            action,
            id,
            state,
            advice,
        }
    }

    /// For `map_err`: names the schedule that cannot work.
    pub(crate) fn schedule(name: &str) -> impl FnOnce(Fault) -> Self {
        let name = name.to_owned();
        move |source| Self::Schedule { name, source }
    }
}

/// The lane's rate limit, or the fleet's error budget, leaves no room for another request for longer than it
/// pays to wait.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the rate limit of the lane or the error budget of the fleet is reached for another {:.1} s", after.as_secs_f64())]
pub struct Throttled {
    /// When there will be room.
    pub after: Duration,
}
