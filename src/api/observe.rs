//! The two outermost layers: what is seen of a request, and what it runs in.
//!
//! [`observe`] names the request, opens its span, counts and times it, and gives errors their body.
//! [`isolate`] runs it in a task of its own. So a caller that hangs up cuts off no transaction half
//! way, a panic is one 500 and not a torn connection, and nobody waits for ever.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::Method;
use tokio::time::Instant;
use tracing::{Instrument, field::Empty};

use super::{
    problem::{self, Problem},
    request_id::{self, RequestId},
};
use crate::app::App;

/// The longest that any request may take: the longest wait for a job, and a margin.
const DEADLINE: Duration = Duration::from_secs(30);

/// Names, traces, counts and times a request, and renders its problem.
pub(super) async fn observe(
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let method = known(request.method());
    // The pattern, never the path: ids would make labels without end.
    let route = route.map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned());
    let traceparent = request.headers().get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    // Of the highest level, so that whatever is logged in it bears the request's id.
    let span = queue::trace::following(traceparent, || {
        tracing::error_span!(
            "http.request",
            request.id = id.as_str(),
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            error.type = Empty
        )
    });
    request.extensions_mut().insert(id.clone());

    let response = next.run(request).instrument(span.clone()).await;
    let mut response = span.in_scope(|| problem::render(response, &id));
    response
        .headers_mut()
        .insert(request_id::HEADER, id.to_header());

    let (status, elapsed) = (response.status(), started.elapsed());
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
    }
    let labels = [("method", method.to_owned()), ("route", route.clone())];
    metrics::histogram!("syncline_http_request_duration_seconds", &labels).record(elapsed);
    metrics::counter!(
        "syncline_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status.as_str().to_owned()
    )
    .increment(1);
    if !route.starts_with("/health") && route != "/metrics" {
        let duration_ms = elapsed.as_secs_f64() * 1e3;
        span.in_scope(|| tracing::debug!(duration_ms, "answered"));
    }
    response
}

/// Runs the request in its own task, to its end, whatever becomes of the caller.
pub(crate) async fn isolate(State(app): State<App>, request: Request, next: Next) -> Response {
    let work = next.run(request).in_current_span();
    let task = app.requests.spawn(work);
    match tokio::time::timeout(DEADLINE, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(panic).into_response(),
        Err(late) => Problem::unavailable(late).into_response(),
    }
}

/// Methods that are worth a label of their own; anybody can invent more.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
