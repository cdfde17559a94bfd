//! Our own extractors: what does not fit is a problem that names the field.
//!
//! | what came | answer |
//! |---|---|
//! | no JSON at all, or broken JSON | 400 `malformed-request` |
//! | JSON with a missing, unknown, ill-typed or ill-valued field | 422 `invalid-field` |
//! | a query with such a parameter | 422 `invalid-field` |
//! | a path with an id that none of ours can be | 404 `not-found` |
//! | a body over the limit, late, or not declared as JSON | 413, 408, 415 |

use std::{error::Error, str::FromStr};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::{Path as FieldPath, Segment};

use super::{
    Limits,
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

/// A JSON body, in or out.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let json = HeaderValue::from_static("application/json");
                (StatusCode::OK, [(header::CONTENT_TYPE, json)], body).into_response()
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let bytes = read_json(request, app).await?;
        parse_json(&bytes).map(Self)
    }
}

/// Reads a body that is declared as JSON, up to the limit of the API's routes.
pub(super) async fn read_json(request: Request, app: &App) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "The Content-Type header must say application/json.",
        ));
    }
    let limits = Limits::of(app);
    let limit = limits.body_bytes;
    match read_body(request.into_body(), limit, &limits).await {
        Ok(bytes) => Ok(bytes),
        Err(BodyError::TooLarge) => Err(Problem::new(
            Kind::BodyTooLarge,
            format!("The body must not be longer than {limit} bytes."),
        )),
        Err(BodyError::TooSlow) => Err(Problem::new(
            Kind::RequestTimeout,
            "The body did not arrive in time.",
        )),
        Err(BodyError::Broken) => Err(Problem::new(
            Kind::MalformedRequest,
            "The body could not be read to its end.",
        )),
    }
}

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Longer than the limit; reading stopped there.
    TooLarge,
    /// Not whole within the time allowed.
    TooSlow,
    /// The connection or its framing broke.
    Broken,
}

/// Reads a body whole, but no more than `limit` bytes and no longer than the limits allow.
pub(super) async fn read_body(
    body: Body,
    limit: usize,
    limits: &Limits,
) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(limits.body_timeout, to_bytes(body, limit)).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

/// axum hides `http_body_util`'s error in its own; only its text is ours to see.
fn is_length_limit(error: &axum::Error) -> bool {
    error
        .source()
        .is_some_and(|source| source.to_string() == "length limit exceeded")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Parses a body; the problem names the field by its JSON pointer.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take a list for a struct, by position.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field(Fault::at("", "must be a JSON object")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        json_problem(pointer, error.inner())
    })?;
    deserializer
        .end()
        .map_err(|error| json_problem(String::new(), &error))?;
    Ok(value)
}

fn json_problem(pointer: String, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if !error.is_data() {
        return Problem::new(
            Kind::MalformedRequest,
            format!("The body is not JSON: {text}."),
        );
    }
    // serde_json appends where in the text it was; the pointer says it better.
    let detail = text.split(" at line ").next().unwrap_or(&text);
    // A field that is missing, or there twice, is reported at its parent.
    let named = ["missing field ", "duplicate field "]
        .iter()
        .find_map(|words| quoted_after(detail, words));
    let pointer = match named {
        Some(name) => format!("{pointer}/{name}"),
        None => pointer,
    };
    Problem::field(Fault::at(pointer, detail))
}

/// The name between backticks that follows `words` at the start of `text`.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.strip_prefix(words)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

/// The path as a JSON pointer (RFC 6901).
fn pointer(path: &FieldPath) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// The query's parameters as a struct.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let detail = error.inner().to_string();
        let named = ["missing field ", "duplicate field ", "unknown field "]
            .iter()
            .find_map(|words| quoted_after(&detail, words));
        let parameter = named.map_or_else(|| error.path().to_string(), str::to_owned);
        Problem::field(Fault::of(parameter, detail))
    })
}

/// The only parameter of the path. Text that cannot be one of ours names nothing: 404.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(Kind::MalformedRequest, "The path is not valid UTF-8."))?;
        let parameter = parameters.iter().next().map(|(_, value)| value);
        let parsed = parameter.and_then(|value| value.parse().ok());
        parsed
            .map(Self)
            .ok_or_else(|| Problem::missing("thing; its id is not one of ours"))
    }
}

#[cfg(test)]
mod tests;
