//! The only place where an error of the API becomes an HTTP body: `application/problem+json` (RFC 9457).
//!
//! A handler answers `Err(Problem)`. The problem travels in the response's extensions to
//! [`render`], the outermost layer, which knows the request's id, logs what needs a look (once)
//! and writes the body. An answer of 400 or more that carries no problem (a wrong method, an
//! unknown path) gets the general problem of its status there, so that no other shape leaves us.

use std::{borrow::Cow, error::Error, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::request_id::RequestId;
use crate::ops::words::sentence;

mod kind;
pub(super) use kind::Kind;

/// A refusal or failure, as the caller may see it, with its cause for our log.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    retry_after: Option<Duration>,
    /// Whoever made it has told the log, or counts it only.
    is_logged: bool,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// One fault of one field: where it is, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Fault {
    /// JSON pointer into the body (RFC 6901), `""` for the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Name of a query parameter, a part of the path, or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<Cow<'static, str>>,
    detail: String,
}

impl Fault {
    /// A fault at `pointer` in the body.
    pub(super) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            detail: detail.into(),
        }
    }

    /// A fault of a query parameter, a part of the path, or a header.
    pub(super) fn of(parameter: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(parameter.into()),
            detail: detail.into(),
        }
    }
}

impl Problem {
    /// A problem of this kind, with a sentence about this occurrence.
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            is_logged: false,
            cause: None,
        }
    }

    /// 422: one field holds what it may not.
    pub(super) fn field(fault: Fault) -> Self {
        Self::new(
            Kind::InvalidField,
            "A field of the request holds what it may not.",
        )
        .fault(fault)
    }

    /// 404: there is no such thing, or it belongs to another organization.
    pub(super) fn missing(what: &'static str) -> Self {
        Self::new(Kind::NotFound, format!("There is no such {what}."))
    }

    /// 500: our fault. The cause goes to the log only.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "The request could not be served.").caused_by(cause)
    }

    /// 503: what we depend on is away; the same request may work a little later.
    pub(super) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Kind::Unavailable,
            "The service is temporarily unable to serve the request.",
        )
        .retry_after(Duration::from_secs(5))
        .caused_by(cause)
    }

    /// Adds a fault of a field.
    pub(super) fn fault(mut self, fault: Fault) -> Self {
        self.errors.push(fault);
        self
    }

    /// Says when to try again, in the `Retry-After` header.
    pub(super) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Keeps it out of the log: many may come at once, and the handler has told what there is to tell.
    pub(super) fn logged(mut self) -> Self {
        self.is_logged = true;
        self
    }

    fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        from_database(error)
    }
}

impl From<queue::Error> for Problem {
    fn from(error: queue::Error) -> Self {
        use queue::Error::{
            InvalidName, InvalidRequest, NoSuchJob, Refused, Schedule, UnknownKind, UnknownSchedule,
        };
        let kind = match &error {
            NoSuchJob { .. } | UnknownSchedule { .. } => Kind::NotFound,
            Refused { .. } | UnknownKind { .. } => Kind::NotAsItStands,
            InvalidName { .. } | InvalidRequest { .. } | Schedule { .. } => Kind::InvalidField,
            _ => return from_database(error),
        };
        Self::new(kind, sentence(&error))
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        from_database(error)
    }
}

/// A database that is away or overloaded is a 503; everything else is our own fault.
fn from_database<E: Error + Send + Sync + 'static>(error: E) -> Problem {
    if is_outage(&error) {
        Problem::unavailable(error)
    } else {
        Problem::internal(error)
    }
}

/// Is the database, rather than the query, the cause? Looks along the chain for sqlx's error.
fn is_outage(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| is_transient(&code))
                }
                _ => false,
            };
        }
        next = error.source();
    }
    false
}

/// SQLSTATE classes that another attempt may pass: connection (08), rollback by conflict (40),
/// lack of resources (53), operator intervention such as a time-out or a restart (57).
fn is_transient(code: &str) -> bool {
    ["08", "40", "53", "57"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// What is wrong, in the order in which people read it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Rendered<'a> {
    /// Its kind, once and for all.
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// Of the answer.
    status: u16,
    /// This occurrence in words.
    detail: &'a str,
    /// As in the header `X-Request-Id`.
    request_id: &'a str,
    /// The fields that are not as they should be.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

/// Gives every answer of 400 or more its problem body, and logs those that are our fault.
pub(super) fn render(mut response: Response, request_id: &RequestId) -> Response {
    let status = response.status();
    let is_page = response.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("text/html; charset=utf-8"));
    // A page of the console says by itself what is wrong.
    if (!status.is_client_error() && !status.is_server_error()) || is_page {
        return response;
    }
    let problem = response
        .extensions_mut()
        .remove::<Arc<Problem>>()
        .unwrap_or_else(|| Arc::new(Problem::of_status(status)));
    problem.log();

    let body = Rendered {
        r#type: problem.kind.urn(),
        title: problem.kind.title(),
        status: status.as_u16(),
        detail: &problem.detail,
        request_id: request_id.as_str(),
        errors: &problem.errors,
    };
    let body = serde_json::to_vec(&body).expect("strings and numbers are always valid JSON");

    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if problem.kind == Kind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(after) = problem.retry_after {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(after.as_secs().max(1)),
        );
    }
    *response.body_mut() = Body::from(body);
    response
}

impl Problem {
    /// The general problem of a status that some layer set without a word.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Kind::NotFound, "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Kind::MethodNotAllowed,
                "This address does not take this method; the Allow header names those it takes.",
            ),
            status if status.is_client_error() => Self::new(
                Kind::MalformedRequest,
                "The request could not be understood.",
            ),
            status => Self::internal(format!("a layer answered {status} without a problem")),
        }
    }
}

impl Problem {
    /// The status of its answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// A server-side failure is worth an error in the log, with its whole chain; here and only here.
    pub(crate) fn log(&self) {
        if self.is_logged || !self.kind.status().is_server_error() {
            return;
        }
        let mut chain = String::new();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(cause) = next {
            if !chain.is_empty() {
                chain.push_str(": ");
            }
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!(
            problem = self.kind.slug(),
            error = chain,
            "request failed: {}",
            self.kind.title()
        );
    }
}

#[cfg(test)]
mod tests;
