//! What went wrong, as a page: the only place where an error of the console becomes one.

use std::sync::Arc;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use phrases::{Phrase, say};

use super::{guard::Theme, language::Reader, page};
use crate::api::Problem;
use crate::ops::{
    self,
    words::{as_sentence, sentence},
};

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
        detail: Phrase,
    },
    /// The same, as errors are written: without a capital and an end.
    Refused {
        /// Of the answer.
        status: StatusCode,
        /// Why.
        why: Phrase,
    },
    /// Our trouble.
    Ours(Problem),
}

impl Fault {
    pub(super) fn told(status: StatusCode, detail: Phrase) -> Self {
        Self::Told { status, detail }
    }

    /// There is no such thing.
    pub(super) fn missing(what: &'static str) -> Self {
        let detail = say!("There is no such {what}.", what = Phrase::new(what));
        Self::told(StatusCode::NOT_FOUND, detail)
    }

    /// A field or a parameter that cannot be meant.
    pub(super) fn field(name: &str, rule: &'static str) -> Self {
        // Fields are named as in addresses, which no language changes.
        let detail = say!("{field}: {rule}.", field = name, rule = Phrase::new(rule));
        Self::told(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Told { status, .. } | Self::Refused { status, .. } => *status,
            Self::Ours(problem) => problem.status(),
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<ops::Error> for Fault {
    fn from(error: ops::Error) -> Self {
        match error {
            ops::Error::Forbidden { deed, actor } => Self::Refused {
                status: StatusCode::FORBIDDEN,
                why: say!(
                    "`{deed}` needs the role {needed}; you are {name} with the role {role}",
                    deed = deed.as_str(),
                    needed = Phrase::new(deed.needs().as_str()),
                    name = actor.name,
                    role = Phrase::new(actor.role.as_str())
                ),
            },
            ops::Error::Refused(why) => Self::Refused {
                status: StatusCode::CONFLICT,
                why,
            },
            ops::Error::Missing(what) => Self::missing(what),
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
        let why = why(&error).unwrap_or_else(|| Phrase::verbatim(sentence(&error)));
        Self::Refused { status, why }
    }
}

/// What the queue refuses, in words; what is wrong with a filter or a schedule, it says itself.
fn why(error: &queue::Error) -> Option<Phrase> {
    Some(match error {
        queue::Error::NoSuchJob { id } => say!("there is no job {id}", id = id.to_string()),
        queue::Error::UnknownKind { kind } => {
            say!("no job of the kind `{kind}` is known here", kind)
        }
        queue::Error::UnknownSchedule { name, known } => say!(
            "there is no schedule `{name}`; there are: {known}",
            name,
            known
        ),
        queue::Error::Refused {
            action,
            id,
            state,
            advice,
        } => say!(
            "cannot {action} job {id}, which is {state}: {advice}",
            action = Phrase::new(action),
            id = id.to_string(),
            state = Phrase::new(state.as_str()),
            advice = advice.clone()
        ),
        _ => return None,
    })
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
    Fault::told(
        StatusCode::NOT_FOUND,
        say!("There is nothing at this address."),
    )
}

/// Middleware: gives every answer the headers that keep browsers in bounds, and every fault its page.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (theme, reader) = (Theme::of(request.headers()), Reader::of(request.headers()));
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = faulty(response, &path, theme, reader);
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

fn faulty(mut response: Response, path: &str, theme: Theme, reader: Reader) -> Response {
    let status = response.status();
    let fault = response.extensions_mut().remove::<Arc<Fault>>();
    let problem = response.extensions_mut().remove::<Arc<Problem>>();
    let detail = match (fault.as_deref(), problem.as_deref()) {
        (Some(Fault::Told { detail, .. }), _) => detail.told(reader.language),
        (Some(Fault::Refused { why, .. }), _) => as_sentence(&why.told(reader.language)),
        (Some(Fault::Ours(problem)), _) | (None, Some(problem)) => {
            problem.log();
            say!("The console could not do this just now. Nothing was changed; the log says more.")
                .told(reader.language)
        }
        (None, None) if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        (None, None) => say!("This address does not take that.").told(reader.language),
    };
    let page = page::Faulty {
        root: page::root_of(path),
        theme,
        reader,
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or("Error"),
        detail: &detail,
    };
    let body = page::told(reader, &page).unwrap_or(detail.clone());
    let mut answer = (status, page::html(body)).into_response();
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    if let Some(after) = response.headers_mut().remove(header::RETRY_AFTER) {
        answer.headers_mut().insert(header::RETRY_AFTER, after);
    }
    answer
}
