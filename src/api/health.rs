//! For machines that look after us: alive, ready, and figures. No key, no secrets, no access log.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde::Serialize;
use sqlx::Connection;
use utoipa::ToSchema;

use super::{extract::Json, problem::Problem};
use crate::app::App;

/// How long the database may take to answer before we are not ready.
const PATIENCE: Duration = Duration::from_secs(1);

/// A word, as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    status: &'static str,
}

/// The process answers: restart it only when it does not. Asks nothing of the database.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "service",
    responses((status = 200, body = Status))
)]
pub(super) async fn live() -> Json<Status> {
    Json(Status { status: "live" })
}

/// Requests can be served: the database answers, and we are not on our way out.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "service",
    responses((status = 200, body = Status), (status = 503))
)]
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Status>, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::unavailable("shutting down"));
    }
    // To its end in a task of its own: the connection goes back to the pool with its answer read.
    let pool = app.pool.clone();
    let ping = app
        .requests
        .spawn(async move { pool.acquire().await?.ping().await });
    match tokio::time::timeout(PATIENCE, ping).await {
        Ok(Ok(Ok(()))) => Ok(Json(Status { status: "ready" })),
        Ok(Ok(Err(error))) => Err(Problem::unavailable(error)),
        Ok(Err(panic)) => Err(Problem::internal(panic)),
        Err(late) => Err(Problem::unavailable(late)),
    }
}

/// All metrics in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], app.metrics.render()).into_response()
}
