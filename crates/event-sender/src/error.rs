//! Why an event was not sent, or not taken.

use std::time::Duration;

/// A rule that an endpoint's URL breaks. Its text may be shown to whoever chose the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another scheme.
    #[error("must begin with https://")]
    NotHttps,
    /// `user:password@host`.
    #[error("must hold no user name or password: events are signed")]
    Credentials,
    /// `#…` is never sent.
    #[error("must hold no fragment (#)")]
    Fragment,
    /// Longer than anybody needs.
    #[error("must not be longer than 2000 characters")]
    TooLong,
    /// A port on which no web server should be.
    #[error("must name port 443 (or 80 for http), one from 1024 on, or none")]
    Port,
    /// Private, loopback, link-local …
    #[error("must lead to a public address")]
    Address,
}

/// What became of an event that was not taken.
///
/// The text may be shown to whoever chose the URL; the cause may not, since it tells what our network looks like.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// 410: the endpoint asks for no more events, ever.
    #[error("the endpoint answered 410: it is gone")]
    Gone,
    /// Any other answer but 2xx.
    #[error("the endpoint answered {status}")]
    Status {
        /// What it answered.
        status: u16,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The URL, or what its name stands for, is not allowed.
    #[error("the endpoint's URL {0}")]
    Refused(#[from] Refusal),
    /// No whole answer in time.
    #[error("the endpoint did not answer in time")]
    TimedOut(#[source] reqwest::Error),
    /// No connection, or a broken one.
    #[error("the endpoint could not be reached")]
    Unreachable(#[source] reqwest::Error),
}

impl SendError {
    /// Stable and short, for grouping.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Gone => "endpoint_gone",
            Self::Status { .. } => "endpoint_status",
            Self::Refused(_) => "endpoint_refused",
            Self::TimedOut(_) => "timeout",
            Self::Unreachable(_) => "transport",
        }
    }

    /// What was answered, if anything.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Gone => Some(410),
            Self::Status { status, .. } => Some(*status),
            Self::Refused(_) | Self::TimedOut(_) | Self::Unreachable(_) => None,
        }
    }

    /// How long the endpoint asks us to wait, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the HTTP client for endpoints")]
pub struct SetupError(#[source] pub(crate) Box<dyn std::error::Error + Send + Sync>);
