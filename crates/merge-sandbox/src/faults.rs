//! Faults on request: what the next requests to some path are answered with instead of the truth.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::listener::Peer;

/// A fault, for the next requests that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Requests whose path begins with this, such as `/api/hris/v1/employees`; `/` for all.
    pub path_prefix: String,
    /// Only requests with this account token, when given.
    #[serde(default)]
    pub account_token: Option<String>,
    /// How many requests it hits before it is used up.
    pub times: u32,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What happens to a request hit by a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answered with this status and a JSON `detail`; with `retry_after` (seconds) as a header, when given.
    Status {
        /// The status, such as 503.
        status: u16,
        /// The `Retry-After` header in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answered with this status and a page of HTML, as a gateway does.
    Html {
        /// The status, such as 502 or even 200.
        status: u16,
    },
    /// The connection is reset; no answer.
    Reset,
    /// The true answer, after this time (real, not the sandbox's clock).
    Slow {
        /// Such as `"2s"`.
        #[serde(with = "humantime_serde")]
        delay: Duration,
    },
    /// The true status and headers, half of the body, properly ended: JSON that stops in the middle.
    TruncatedJson,
    /// The true status and headers, half of the body, then the connection breaks.
    CutOff,
}

/// The faults still in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// The oldest fault that matches, used up by one.
    pub(crate) fn take(&self, path: &str, account_token: Option<&str>) -> Option<FaultKind> {
        let mut faults = self.lock();
        let fault = faults.iter_mut().find(|fault| {
            fault.times > 0
                && path.starts_with(&fault.path_prefix)
                && fault
                    .account_token
                    .as_deref()
                    .is_none_or(|token| Some(token) == account_token)
        })?;
        fault.times -= 1;
        let kind = fault.kind.clone();
        faults.retain(|fault| fault.times > 0);
        Some(kind)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultKind {
    /// The answer that takes the place of the true one; `None` for faults that spoil it instead.
    pub(crate) fn instead(&self, peer: Option<&Peer>) -> Option<Response> {
        match self {
            Self::Status {
                status,
                retry_after,
            } => {
                let detail =
                    serde_json::json!({ "detail": "This answer was asked for as a fault." });
                let mut response = (status_of(*status), axum::Json(detail)).into_response();
                if let Some(seconds) = retry_after {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                }
                Some(response)
            }
            Self::Html { status } => {
                let page = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>";
                Some((status_of(*status), axum::response::Html(page)).into_response())
            }
            Self::Reset => {
                if let Some(peer) = peer {
                    peer.reset();
                }
                Some(StatusCode::BAD_GATEWAY.into_response())
            }
            Self::Slow { .. } | Self::TruncatedJson | Self::CutOff => None,
        }
    }

    /// Does to the true answer what the fault says.
    pub(crate) async fn spoil(&self, response: Response) -> Response {
        match self {
            Self::Slow { delay } => {
                tokio::time::sleep(*delay).await;
                response
            }
            Self::TruncatedJson => halved(response, Body::from).await,
            Self::CutOff => {
                halved(response, |half| {
                    // The pause lets the first half leave before the connection breaks.
                    let broken = async {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Err(io::Error::from(io::ErrorKind::ConnectionReset))
                    };
                    Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(broken)))
                })
                .await
            }
            Self::Status { .. } | Self::Html { .. } | Self::Reset => response,
        }
    }
}

async fn halved(response: Response, body_of: impl FnOnce(Bytes) -> Body) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body_of(half))
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
