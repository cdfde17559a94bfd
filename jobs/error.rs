//! How a job fails. What Merge, the store and the queue report becomes an outcome here, in one place.
//!
//! | reported | outcome | class |
//! |---|---|---|
//! | 429, or 5xx that names a time to wait | park the lane, no attempt used | |
//! | other 5xx, 408, 409, no or broken answer | retry | the client's |
//! | 400, 422 and other refusals of the request | cancel | `merge_rejected` |
//! | 401, 403, 404, an answer beyond the limit | cancel, unless the job knows better | the client's |
//! | lane's own rate limit reached, or its calls keep failing | snooze, no attempt used | |
//! | account deleted meanwhile | cancel | `account_not_found` |
//! | window closed meanwhile | retry: it looks again | `window_not_open` |
//! | statement failed | retry | `database` |
//! | secret does not open | cancel | `keyring` |
//! | an endpoint did not take an event | retry; snooze, if it says how long to wait | the sender's |
//! | lease lost | nothing is recorded | |

use std::time::Duration;

use queue::{Failure, Throttled};

/// Anything with a message and causes.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a lane is silent after a 429 that does not say how long.
const PARK_WITHOUT_HINT: Duration = Duration::from_secs(15);

/// Every end of a job but success. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// May work later; uses the attempt up.
    #[error("{error}")]
    Retry {
        /// For people.
        error: BoxError,
        /// Stable and short.
        class: &'static str,
        /// What Merge answered, if it did.
        http_status: Option<u16>,
    },
    /// Not yet; the attempt is given back.
    #[error("{reason}")]
    Snooze {
        /// From now.
        after: Duration,
        /// For people.
        reason: String,
    },
    /// Merge asked for silence about the whole account; the attempt is given back.
    #[error("{reason}")]
    Park {
        /// From now.
        after: Duration,
        /// For people.
        reason: String,
    },
    /// Will never work.
    #[error("{error}")]
    Cancel {
        /// For people.
        error: BoxError,
        /// Stable and short; callers map it to an answer.
        class: &'static str,
    },
    /// The lease was lost.
    #[error("the lease was lost")]
    Fenced,
}

impl JobError {
    /// The account does not exist, is not the caller's, or is being deleted.
    pub fn account_not_found() -> Self {
        Self::cancel("account_not_found", "there is no such linked account")
    }

    /// Will never work, for this reason.
    pub fn cancel(class: &'static str, reason: impl Into<BoxError>) -> Self {
        Self::Cancel {
            error: reason.into(),
            class,
        }
    }

    /// May work later.
    pub fn retry(class: &'static str, reason: impl Into<BoxError>) -> Self {
        Self::Retry {
            error: reason.into(),
            class,
            http_status: None,
        }
    }

    /// The turn is over: others of the lane first, then on.
    pub fn yield_turn(reason: &str) -> Self {
        Self::Snooze {
            after: Duration::ZERO,
            reason: reason.to_owned(),
        }
    }

    /// As [`From`], but what the request itself is refused for counts as passing, too: for what must happen in
    /// the end.
    pub fn retry_even_refusals(error: merge_client::Error) -> Self {
        match Self::from(error) {
            Self::Cancel { error, class } => Self::retry(class, error),
            other => other,
        }
    }
}

impl From<merge_client::Error> for JobError {
    fn from(error: merge_client::Error) -> Self {
        let reason = || format!("Merge asks to wait: {error}");
        match (&error, error.retry_after()) {
            (merge_client::Error::RateLimited { .. }, hint) => Self::Park {
                after: hint.unwrap_or(PARK_WITHOUT_HINT),
                reason: reason(),
            },
            (_, Some(after)) => Self::Park {
                after,
                reason: reason(),
            },
            (_, None) if error.is_retryable() => Self::Retry {
                class: error.class(),
                http_status: error.status(),
                error: error.into(),
            },
            (merge_client::Error::Rejected { .. }, None) => Self::Cancel {
                error: error.into(),
                class: "merge_rejected",
            },
            (_, None) => Self::Cancel {
                class: error.class(),
                error: error.into(),
            },
        }
    }
}

impl From<store::Error> for JobError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::AccountGone(_) => Self::account_not_found(),
            store::Error::WindowNotOpen { .. } => Self::retry("window_not_open", error),
            store::Error::Keyring(_) => Self::cancel("keyring", error),
            store::Error::Database { .. }
            | store::Error::DatabaseNewer { .. }
            | store::Error::Migrate(_) => Self::retry("database", error),
        }
    }
}

impl From<queue::Error> for JobError {
    fn from(error: queue::Error) -> Self {
        match error {
            queue::Error::Fenced { .. } => Self::Fenced,
            other => Self::retry("database", other),
        }
    }
}

impl From<Throttled> for JobError {
    fn from(throttled: Throttled) -> Self {
        Self::Snooze {
            after: throttled.after,
            reason: throttled.to_string(),
        }
    }
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::retry("database", error)
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Retry {
                error,
                class,
                http_status,
            } => Self::Retry {
                error,
                class,
                http_status,
            },
            JobError::Snooze { after, reason } => Self::Snooze { after, reason },
            JobError::Park { after, reason } => Self::Park { after, reason },
            JobError::Cancel { error, class } => Self::Cancel { error, class },
            JobError::Fenced => Self::Fenced,
        }
    }
}

#[cfg(test)]
mod tests {
    use merge_client::Error as Merge;

    use super::*;

    fn endpoint() -> String {
        "GET hris/v1/employees".to_owned()
    }

    fn server(retry_after: Option<Duration>) -> Merge {
        Merge::Server {
            endpoint: endpoint(),
            status: 503,
            retry_after,
        }
    }

    #[test]
    fn a_wait_that_was_asked_for_parks_the_lane() {
        let minute = Duration::from_mins(1);
        let cases = [
            (
                Merge::RateLimited {
                    endpoint: endpoint(),
                    retry_after: Some(minute),
                },
                minute,
            ),
            (
                Merge::RateLimited {
                    endpoint: endpoint(),
                    retry_after: None,
                },
                PARK_WITHOUT_HINT,
            ),
            (server(Some(minute)), minute),
        ];
        for (error, expected) in cases {
            assert!(
                matches!(JobError::from(error), JobError::Park { after, .. } if after == expected)
            );
        }
    }

    #[test]
    fn a_passing_fault_is_retried_with_its_status() {
        let error = JobError::from(server(None));

        assert!(matches!(
            error,
            JobError::Retry {
                class: "server",
                http_status: Some(503),
                ..
            }
        ));
    }

    #[test]
    fn a_refusal_is_not_repeated() {
        let detail = || "no".to_owned();
        let cases = [
            (
                Merge::Unauthorized {
                    endpoint: endpoint(),
                    detail: detail(),
                },
                "unauthorized",
            ),
            (
                Merge::Forbidden {
                    endpoint: endpoint(),
                    detail: detail(),
                },
                "forbidden",
            ),
            (
                Merge::NotFound {
                    endpoint: endpoint(),
                    detail: detail(),
                },
                "not_found",
            ),
            (
                Merge::Rejected {
                    endpoint: endpoint(),
                    status: 400,
                    detail: detail(),
                },
                "merge_rejected",
            ),
        ];
        for (error, expected) in cases {
            assert!(
                matches!(JobError::from(error), JobError::Cancel { class, .. } if class == expected)
            );
        }
    }

    #[test]
    fn what_must_happen_is_tried_again_even_if_refused() {
        let error = Merge::Forbidden {
            endpoint: endpoint(),
            detail: "no".to_owned(),
        };

        let error = JobError::retry_even_refusals(error);

        assert!(matches!(
            error,
            JobError::Retry {
                class: "forbidden",
                ..
            }
        ));
    }
}
