//! One action on all jobs of a filter: counted, confirmed, followed, stopped.

use chrono::{DateTime, Utc};
use http::StatusCode;
use queue::JobId;
use queue::admin::bulk_actions::{BulkAction, BulkId, State as Standing};
use queue::admin::{Action, Filter};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Done,
    body::{Plain, Reason},
};
use crate::api::{
    extract::{Json, Path},
    prefer::Once,
    problem::Problem,
};
use crate::ops::{Ops, bulk::TYPED_ABOVE};

/// Actions on the list.
const ACTIONS: u16 = 100;

/// What is to be done to which jobs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PrepareBulk {
    /// All jobs that fulfil it, whatever a page shows. Without states, those in which the action can be done.
    #[serde(deserialize_with = "by_name")]
    filter: Filter,
    action: Action,
    reason: Reason,
}

/// serde would take a list for a struct, by position: `[]` for the filter that all jobs fulfil.
fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    Filter::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

/// An action on many jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkView {
    id: BulkId,
    action: Action,
    filter: Filter,
    /// Only jobs from before this time are touched, whatever comes later.
    bound_to: DateTime<Utc>,
    by: String,
    reason: String,
    state: Standing,
    /// How many jobs, as counted when it was prepared.
    jobs: i64,
    /// The newest of them.
    sample: Vec<JobId>,
    /// Whether `count` has to be said to start it.
    needs_count: bool,
    /// Jobs it was done to.
    done: u64,
    /// Jobs that were left: they changed meanwhile.
    skipped: u64,
    prepared_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    stopped_by: Option<String>,
    /// The job that does it.
    job_id: Option<JobId>,
}

impl From<BulkAction> for BulkView {
    fn from(bulk: BulkAction) -> Self {
        let request = bulk.bulk.request();
        Self {
            id: bulk.id,
            action: bulk.bulk.action(),
            filter: bulk.bulk.filter().clone(),
            bound_to: bulk.bulk.bound_to(),
            by: request.by.clone(),
            reason: request.reason.clone(),
            state: bulk.state,
            jobs: bulk.jobs,
            sample: bulk.sample,
            needs_count: bulk.jobs > TYPED_ABOVE,
            done: bulk.progress.done,
            skipped: bulk.progress.skipped,
            prepared_at: bulk.prepared_at,
            started_at: bulk.started_at,
            ended_at: bulk.ended_at,
            stopped_by: bulk.stopped_by,
            job_id: bulk.job_id,
        }
    }
}

/// Actions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkList {
    bulk_actions: Vec<BulkView>,
}

/// The actions that were started; the newest hundred.
#[utoipa::path(get, path = "/api/ops/bulk", tag = "operations", responses((status = 200, body = BulkList)))]
pub(super) async fn list(ops: Ops) -> Result<Json<BulkList>, Problem> {
    let bulks = ops.bulks(ACTIONS).await?;
    Ok(Json(BulkList {
        bulk_actions: bulks.into_iter().map(BulkView::from).collect(),
    }))
}

/// One action, and how far it has come.
#[utoipa::path(
    get, path = "/api/ops/bulk/{id}", tag = "operations",
    params(("id" = BulkId, Path, description = "The action.")),
    responses((status = 200, body = BulkView))
)]
pub(super) async fn show(ops: Ops, Path(id): Path<BulkId>) -> Result<Json<BulkView>, Problem> {
    Ok(Json(ops.bulk(id).await?.into()))
}

/// Counts the jobs that an action would be done to, and keeps what was counted. Does nothing yet: start it, within an hour.
#[utoipa::path(
    post, path = "/api/ops/bulk", tag = "operations",
    request_body = PrepareBulk,
    responses((status = 201, body = BulkView))
)]
pub(super) async fn prepare(
    ops: Ops,
    Json(body): Json<PrepareBulk>,
) -> Result<(StatusCode, Json<BulkView>), Problem> {
    let reason = body.reason.as_str();
    let id = ops.prepare_bulk(body.filter, body.action, reason).await?;
    Ok((StatusCode::CREATED, Json(ops.bulk(id).await?.into())))
}

/// What shows that the action is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBulk {
    /// The number of jobs, as it was counted; needed above 1,000.
    count: Option<i64>,
}

/// Starts what was counted: those jobs, and no other.
#[utoipa::path(
    post, path = "/api/ops/bulk/{id}/start", tag = "operations",
    params(("id" = BulkId, Path, description = "The action."), Once),
    request_body = StartBulk,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn start(
    ops: Ops,
    Path(id): Path<BulkId>,
    Json(body): Json<StartBulk>,
) -> Result<Json<Done>, Problem> {
    ops.start_bulk(id, body.count).await?;
    Ok(Done::plain())
}

/// Ends a running action after its batch. What was done stays done.
#[utoipa::path(
    post, path = "/api/ops/bulk/{id}/stop", tag = "operations",
    params(("id" = BulkId, Path, description = "The action."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn stop(
    ops: Ops,
    Path(id): Path<BulkId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.stop_bulk(id).await?;
    Ok(Done::plain())
}
