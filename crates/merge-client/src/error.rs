use std::time::Duration;

/// Why a call failed, by what the caller can do about it.
///
/// Every variant of a call names its endpoint as `METHOD category/v1/path`, without query and without tokens. Texts from
/// the far side are cut to 200 characters and stripped of the tokens that the call carried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 429: wait, then ask again; the account is healthy.
    #[error("Merge limits the rate of {endpoint}")]
    RateLimited {
        /// The call.
        endpoint: String,
        /// How long to wait, from `Retry-After` or `X-RateLimit-Reset`, at most an hour; `None` when not told.
        retry_after: Option<Duration>,
    },

    /// 401: the API key or the account token is wrong or was replaced.
    #[error("Merge refuses the credentials of {endpoint}: {detail}")]
    Unauthorized {
        /// The call.
        endpoint: String,
        /// What Merge said.
        detail: String,
    },

    /// 403: outside the plan, the scopes or the category.
    #[error("Merge forbids {endpoint}: {detail}")]
    Forbidden {
        /// The call.
        endpoint: String,
        /// What Merge said.
        detail: String,
    },

    /// 404: unknown id, path or model. Only on account details does it mean that the account is gone.
    #[error("Merge does not know {endpoint}: {detail}")]
    NotFound {
        /// The call.
        endpoint: String,
        /// What Merge said.
        detail: String,
    },

    /// Another answer that is neither success nor a fault of the server: other 4xx, and redirects, which are not followed.
    #[error("Merge rejects {endpoint} with status {status}: {detail}")]
    Rejected {
        /// The call.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// What Merge said.
        detail: String,
    },

    /// 5xx: a fault on the way or at the far end.
    #[error("Merge fails at {endpoint} with status {status}")]
    Server {
        /// The call.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// How long to wait, if the answer said so.
        retry_after: Option<Duration>,
    },

    /// No whole answer came: refused, reset, cut off, or slower than the time-out.
    #[error("cannot reach Merge for {endpoint}")]
    Transport {
        /// The call.
        endpoint: String,
        /// The cause, stripped of its URL.
        #[source]
        source: reqwest::Error,
    },

    /// The body is longer than the limit; reading stopped there.
    #[error("the answer to {endpoint} is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The call.
        endpoint: String,
        /// The limit, in bytes after decompression.
        limit_bytes: usize,
    },

    /// A success whose body is not JSON, such as a gateway's HTML page.
    #[error("the answer to {endpoint} is no JSON but `{content_type}`")]
    NotJson {
        /// The call.
        endpoint: String,
        /// The content type it declares.
        content_type: String,
    },

    /// JSON that is broken, or not of the expected shape.
    #[error("cannot read the answer to {endpoint} at `{path}`: {reason}")]
    Decode {
        /// The call.
        endpoint: String,
        /// Where in the answer, such as `results[3].id`; `.` for the whole.
        path: String,
        /// What was expected there; never the value that was found.
        reason: String,
    },

    /// A walk over pages came back to a cursor it had seen, or would not end.
    #[error("the pages of {endpoint} do not end")]
    EndlessPages {
        /// The call.
        endpoint: String,
    },

    /// The call was not sent: an argument cannot be part of a request.
    #[error("cannot send {endpoint}: {reason}")]
    Unsendable {
        /// The call.
        endpoint: String,
        /// Which argument, and why.
        reason: &'static str,
    },

    /// The client cannot be built from these settings.
    #[error("cannot set up the Merge client: {0}")]
    Setup(String),
}

impl Error {
    /// The HTTP status of the answer, if there was one that explains the failure.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::RateLimited { .. } => Some(429),
            Self::Unauthorized { .. } => Some(401),
            Self::Forbidden { .. } => Some(403),
            Self::NotFound { .. } => Some(404),
            Self::Rejected { status, .. } | Self::Server { status, .. } => Some(*status),
            Self::Transport { .. }
            | Self::TooLarge { .. }
            | Self::NotJson { .. }
            | Self::Decode { .. }
            | Self::EndlessPages { .. }
            | Self::Unsendable { .. }
            | Self::Setup(_) => None,
        }
    }

    /// A stable word for the kind of failure, for logs, metrics and stored attempts.
    pub fn class(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Rejected { .. } => "rejected",
            Self::Server { .. } => "server",
            Self::Transport { source, .. } if source.is_timeout() => "timeout",
            Self::Transport { .. } => "transport",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson { .. } => "not_json",
            Self::Decode { .. } => "decode",
            Self::EndlessPages { .. } => "endless_pages",
            Self::Unsendable { .. } => "unsendable",
            Self::Setup(_) => "setup",
        }
    }

    /// Whether the same call may work later without anybody's doing.
    ///
    /// True for 408, 409, 429, 5xx, transport faults, and for bodies that are cut off or no JSON; false for what a repeat
    /// will not mend.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Transport { .. }
            | Self::NotJson { .. }
            | Self::Decode { .. }
            | Self::EndlessPages { .. } => true,
            Self::Rejected { status, .. } => matches!(status, 408 | 409 | 425),
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::Unsendable { .. }
            | Self::Setup(_) => false,
        }
    }

    /// Whether the far side, or the way to it, is faulty: no answer, or none that can be read.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Server { .. }
            | Self::Transport { .. }
            | Self::NotJson { .. }
            | Self::Decode { .. }
            | Self::EndlessPages { .. } => true,
            Self::RateLimited { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. }
            | Self::TooLarge { .. }
            | Self::Unsendable { .. }
            | Self::Setup(_) => false,
        }
    }

    /// How long the answer asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}
