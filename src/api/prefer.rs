//! The `Prefer` header (RFC 7240): how long a caller wants to wait for its job.

use std::{convert::Infallible, time::Duration};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

/// What of the preference was followed.
pub(super) const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longest wait in seconds; more is cut to this.
const MAX_WAIT: u64 = 25;

/// The headers of a request that makes a job.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "for the document only; `intake` and `Prefer` read them"
)]
pub(super) struct Submitted {
    /// The same key does the same once: a second request is answered by what the first one did. 1 to 255 visible ASCII
    /// characters; kept for a day, unless the settings say otherwise.
    #[param(rename = "Idempotency-Key", pattern = r"^[\x21-\x7E]{1,255}$")]
    idempotency_key: Option<String>,
    /// `wait=5` waits as many seconds for the job, 25 at most; `respond-async` does not.
    #[param(rename = "Prefer")]
    prefer: Option<String>,
}

/// The header of a request that does something at once.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "as `Submitted`")]
pub(super) struct Once {
    /// The same key does the same once: a second request is answered by what the first one did. 1 to 255 visible ASCII
    /// characters; kept for a day, unless the settings say otherwise.
    #[param(rename = "Idempotency-Key", pattern = r"^[\x21-\x7E]{1,255}$")]
    idempotency_key: Option<String>,
}

/// `wait=N`, `respond-async`, or nothing. What cannot be read is ignored, as the RFC demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// Nothing preferred: the route decides.
    Unstated,
    /// Answer at once, with the job's address.
    RespondAsync,
    /// Wait so many seconds for the job, then answer anyhow.
    Wait(u64),
}

impl Prefer {
    /// How long to wait, `None` for not at all.
    pub(super) fn patience(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Unstated => default,
            Self::RespondAsync | Self::Wait(0) => None,
            Self::Wait(seconds) => Some(Duration::from_secs(seconds)),
        }
    }

    /// The value of `Preference-Applied`, if one was stated.
    pub(super) fn applied(self) -> Option<HeaderValue> {
        match self {
            Self::Unstated => None,
            Self::RespondAsync => Some(HeaderValue::from_static("respond-async")),
            Self::Wait(seconds) => HeaderValue::from_str(&format!("wait={seconds}")).ok(),
        }
    }

    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::Unstated;
        let values = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"').parse::<u64>();
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                // A wait says more than respond-async, which is then about what follows it.
                ("wait", Ok(seconds)) => return Self::Wait(seconds.min(MAX_WAIT)),
                ("respond-async", _) => found = Self::RespondAsync,
                _ => {}
            }
        }
        found
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_rfc_allows_and_ignores_the_rest() {
        let cases: &[(&[&str], Prefer)] = &[
            (&[], Prefer::Unstated),
            (&["wait=5"], Prefer::Wait(5)),
            (&["Wait = \"7\""], Prefer::Wait(7)),
            (&["wait=100"], Prefer::Wait(25)),
            (&["respond-async"], Prefer::RespondAsync),
            (&["respond-async, wait=3"], Prefer::Wait(3)),
            (&["return=minimal", "wait=3"], Prefer::Wait(3)),
            (&["wait=soon"], Prefer::Unstated),
            (&["wait=-1"], Prefer::Unstated),
            (&[",,="], Prefer::Unstated),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append("prefer", HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(Prefer::of(&headers), *expected, "{lines:?}");
        }
    }
}
