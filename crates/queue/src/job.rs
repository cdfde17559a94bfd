//! What a job is, and how it can end.

use std::{error::Error as StdError, fmt, future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    attempt::Attempt,
    error::{Error, Throttled},
    ids::{Lane, Queue},
    retry::RetryPolicy,
    schedule::ScheduleSpec,
    scrub::scrubbed,
};

/// Work that is stored, then run at least once.
///
/// The type itself is the payload: ids and bounds, never a copy of rows, never a secret. It runs *at
/// least* once, so its effects must be safe to repeat; those written through [`Attempt::begin`] are
/// there exactly once.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// All the job may touch.
    type Context: Send + Sync + 'static;
    /// How it fails.
    type Error: Into<Failure> + Send;

    /// Stable name, `snake_case`; stored, so never rename it.
    const KIND: &'static str;
    /// Whose slots it uses.
    const QUEUE: Queue;
    /// Lower runs first within a lane.
    const PRIORITY: i16 = 100;
    /// When it is tried again, and how often.
    const RETRY: RetryPolicy = RetryPolicy::STANDARD;
    /// After this an attempt is stopped and counts as failed.
    const TIMEOUT: Duration = Duration::from_mins(1);
    /// When it runs by the clock. Such a job's payload must be `{}`.
    const SCHEDULE: Option<ScheduleSpec> = None;

    /// Where it belongs; jobs of a lane share its lease, its order and its rate limit.
    fn lane(&self) -> Lane;

    /// At most one job per kind and key, while it is in the states of [`Job::UNIQUE`]: enqueueing again
    /// returns the one that is there.
    fn unique_key(&self) -> Option<String> {
        None
    }

    /// In which states a job keeps its unique key.
    const UNIQUE: UniqueWhile = UniqueWhile::Pending;

    /// At most one *running* job per lane and key.
    fn limit_key(&self) -> Option<String> {
        None
    }

    /// Does the work.
    fn run(
        &self,
        context: &Self::Context,
        attempt: &mut Attempt,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How long a job keeps its unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueWhile {
    /// Until it starts: what is enqueued while it runs leads to exactly one follow-up.
    Pending,
    /// Until it ends: what is enqueued while it runs is answered with the running job.
    PendingOrRunning,
}

/// Anything with a message and a chain of causes.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Every end of an attempt but success.
#[derive(Debug)]
pub enum Failure {
    /// May work later: uses the attempt up, waits, runs again until none is left.
    Retry {
        /// Stored for people; must hold no secret.
        error: BoxError,
        /// Stable and short, for grouping: `merge_server`, `timeout` …
        class: &'static str,
        /// What the far side answered, if it did.
        http_status: Option<u16>,
    },
    /// Not yet: runs again after the time given, and the attempt is given back.
    Snooze {
        /// From now.
        after: Duration,
        /// Why it waits, for people.
        reason: String,
    },
    /// As `Snooze`, for the whole lane and every process: the far side asked for silence.
    Park {
        /// From now.
        after: Duration,
        /// Why it waits, for people.
        reason: String,
    },
    /// Will never work.
    Cancel {
        /// Stored for people; must hold no secret.
        error: BoxError,
        /// Stable and short, for grouping and for callers: `account_not_found` …
        class: &'static str,
    },
    /// The lease was lost: whoever holds the lane now decides what becomes of the job.
    Fenced,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced { .. } => Self::Fenced,
            error => Self::Retry {
                error: Box::new(error),
                class: "database",
                http_status: None,
            },
        }
    }
}

impl From<Throttled> for Failure {
    fn from(throttled: Throttled) -> Self {
        Self::Snooze {
            after: throttled.after,
            reason: throttled.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { error, .. } | Self::Cancel { error, .. } => f.write_str(&chain(&**error)),
            Self::Snooze { reason, .. } | Self::Park { reason, .. } => f.write_str(reason),
            Self::Fenced => f.write_str("the lease was lost"),
        }
    }
}

impl StdError for Failure {}

/// Characters of an error's text that are stored.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// An error with its causes on one line, without what looks like a secret, cut to what is stored. NUL, which Postgres
/// text cannot hold, is replaced.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    scrubbed(&text)
        .replace('\0', "\u{fffd}")
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .collect()
}
