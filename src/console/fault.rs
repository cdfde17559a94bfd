//! What went wrong, as a page: the only place where an error of the console becomes one.

use std::sync::Arc;

use askama::Template as _;
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{guard::Theme, page};
use crate::api::Problem;
use crate::ops::{self, words::sentence};

/// Nothing from elsewhere, nothing inline, no frames, and no string becomes markup or code in the browser.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Of every answer of the console.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: forms would lose the header that says where they come from.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Why a page or an action cannot be had.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something to be told, and to be put right by who asked.
    Told {
        /// Of the answer.
        status: StatusCode,
        /// For people.
        detail: String,
    },
    /// Our trouble.
    Ours(Problem),
}

impl Fault {
    pub(super) fn told(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Told {
            status,
            detail: detail.into(),
        }
    }

    /// There is no such thing.
    pub(super) fn missing(what: &str) -> Self {
        Self::told(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    /// A field or a parameter that cannot be meant.
    pub(super) fn field(name: &str, rule: &str) -> Self {
        Self::told(StatusCode::UNPROCESSABLE_ENTITY, format!("{name}: {rule}."))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Told { status, .. } => *status,
            Self::Ours(problem) => problem.status(),
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<ops::Error> for Fault {
    fn from(error: ops::Error) -> Self {
        let detail = sentence(&error);
        match error {
            ops::Error::Forbidden { .. } => Self::told(StatusCode::FORBIDDEN, detail),
            ops::Error::Refused(_) => Self::told(StatusCode::CONFLICT, detail),
            ops::Error::Missing(_) => Self::told(StatusCode::NOT_FOUND, detail),
            ops::Error::Queue(error) => error.into(),
            ops::Error::Store(error) => Self::Ours(error.into()),
            ops::Error::Database(error) => Self::Ours(error.into()),
        }
    }
}

impl From<queue::Error> for Fault {
    fn from(error: queue::Error) -> Self {
        use queue::Error::{
            InvalidName, InvalidRequest, NoSuchJob, Refused, Schedule, UnknownKind, UnknownSchedule,
        };
        let status = match &error {
            NoSuchJob { .. } | UnknownSchedule { .. } => StatusCode::NOT_FOUND,
            Refused { .. } | UnknownKind { .. } => StatusCode::CONFLICT,
            InvalidName { .. } | InvalidRequest { .. } | Schedule { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => return Self::Ours(error.into()),
        };
        Self::told(status, sentence(&error))
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<askama::Error> for Fault {
    fn from(error: askama::Error) -> Self {
        Self::Ours(Problem::internal(error))
    }
}

/// There is nothing at this address.
pub(super) async fn nothing_here() -> Fault {
    Fault::told(StatusCode::NOT_FOUND, "There is nothing at this address.")
}

/// Middleware: gives every answer the headers that keep browsers in bounds, and every fault its page.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let theme = Theme::of(request.headers());
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = faulty(response, &path, theme);
    }
    put_headers(response.headers_mut());
    response
}

fn put_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages show what only this session may see.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
}

fn faulty(mut response: Response, path: &str, theme: Theme) -> Response {
    let status = response.status();
    let fault = response.extensions_mut().remove::<Arc<Fault>>();
    let problem = response.extensions_mut().remove::<Arc<Problem>>();
    let detail = match (fault.as_deref(), problem.as_deref()) {
        (Some(Fault::Told { detail, .. }), _) => detail.clone(),
        (Some(Fault::Ours(problem)), _) | (None, Some(problem)) => {
            problem.log();
            "The console could not do this just now. Nothing was changed; the log says more."
                .to_owned()
        }
        (None, None) if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        (None, None) => "This address does not take that.".to_owned(),
    };
    let page = page::Faulty {
        root: page::root_of(path),
        theme,
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or("Error"),
        detail: &detail,
    };
    let body = page.render().unwrap_or(detail.clone());
    let mut answer = (status, page::html(body)).into_response();
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    if let Some(after) = response.headers_mut().remove(header::RETRY_AFTER) {
        answer.headers_mut().insert(header::RETRY_AFTER, after);
    }
    answer
}
