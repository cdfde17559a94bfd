//! Workers, and what is asked of them.

use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::WorkerId;
use queue::workers::{self, Ask};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Done, body::Plain};
use crate::api::{
    extract::{Json, Path},
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// Workers on the list, those that ended lately among them.
const WORKERS: u16 = 200;

/// A worker: one start of a process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerView {
    id: WorkerId,
    /// `running`, `draining`, `stopped` or `dead`.
    state: String,
    /// What somebody asked of it: `quiet`, `drain`, or nothing.
    wanted: Option<String>,
    host: String,
    pid: i32,
    version: String,
    /// Jobs of each queue that it runs at once, as `{"sync": 16}`.
    #[schema(value_type = std::collections::BTreeMap<String, u32>)]
    slots: Value,
    /// Jobs it ran when it last renewed its lease.
    running: i32,
    /// Connections to the database that its pool may have; 0 before it told.
    connections: i32,
    /// Those in use when it last renewed its lease.
    connections_in_use: i32,
    /// Lanes it holds.
    lanes: i64,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Nothing left: it is silent, and another takes over.
    lease_left_seconds: f64,
}

impl From<workers::WorkerView> for WorkerView {
    fn from(worker: workers::WorkerView) -> Self {
        Self {
            id: worker.id,
            state: worker.state,
            wanted: worker.wanted,
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            slots: worker.slots,
            running: worker.running,
            connections: worker.connections,
            connections_in_use: worker.connections_in_use,
            lanes: worker.lanes,
            started_at: worker.started_at,
            ended_at: worker.ended_at,
            lease_left_seconds: worker.lease_left.as_secs_f64(),
        }
    }
}

/// Workers, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerList {
    workers: Vec<WorkerView>,
}

/// The workers that live, and those that ended last. What one runs: `GET /api/ops/jobs?state=running&worker=…`.
#[utoipa::path(get, path = "/api/ops/workers", tag = "operations", responses((status = 200, body = WorkerList)))]
pub(super) async fn list(State(app): State<App>) -> Result<Json<WorkerList>, Problem> {
    let workers = workers::list(&app.pool, WORKERS).await?;
    Ok(Json(WorkerList {
        workers: workers.into_iter().map(WorkerView::from).collect(),
    }))
}

/// Asks a worker to start nothing more, and to go on living.
#[utoipa::path(
    post, path = "/api/ops/workers/{id}/quiet", tag = "operations",
    params(("id" = WorkerId, Path, description = "The worker."), Once),
    request_body = Plain,
    responses((status = 200, body = Done))
)]
pub(super) async fn quiet(
    ops: Ops,
    Path(id): Path<WorkerId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.ask_worker(id, Ask::Quiet).await?;
    Ok(Done::plain())
}

/// Asks a worker to work again after it was quiet.
#[utoipa::path(
    post, path = "/api/ops/workers/{id}/work", tag = "operations",
    params(("id" = WorkerId, Path, description = "The worker."), Once),
    request_body = Plain,
    responses((status = 200, body = Done))
)]
pub(super) async fn work(
    ops: Ops,
    Path(id): Path<WorkerId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.ask_worker(id, Ask::Work).await?;
    Ok(Done::plain())
}

/// Asks a worker's process to end when its jobs have.
#[utoipa::path(
    post, path = "/api/ops/workers/{id}/drain", tag = "operations",
    params(("id" = WorkerId, Path, description = "The worker."), Once),
    request_body = Plain,
    responses((status = 200, body = Done))
)]
pub(super) async fn drain(
    ops: Ops,
    Path(id): Path<WorkerId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.ask_worker(id, Ask::Drain).await?;
    Ok(Done::plain())
}
