//! Dead jobs by what they died of.

use axum::extract::State;
use queue::admin::groups::{self, DeadGroup};
use queue::admin::{self, Filter, JobSummary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Done,
    body::{Because, Plain},
};
use crate::api::{
    extract::{Json, Path, Query},
    field::Flag,
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// Groups that are answered.
const GROUPS: u16 = 500;
/// Jobs shown of a group.
const NEWEST: u16 = 10;

/// Query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListGroups {
    /// Also those that somebody called resolved.
    #[serde(default)]
    #[param(inline)]
    resolved: Flag,
}

/// Groups, those seen last first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupList {
    groups: Vec<DeadGroup>,
}

/// What jobs died of, with how many, since when, and in how many lanes.
#[utoipa::path(get, path = "/api/ops/dead", tag = "operations", params(ListGroups), responses((status = 200, body = GroupList)))]
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListGroups>,
) -> Result<Json<GroupList>, Problem> {
    let mut groups = groups::list(&app.pool, GROUPS).await?;
    groups.retain(|group| query.resolved.0 || group.is_open());
    Ok(Json(GroupList { groups }))
}

/// A group, and the newest jobs of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupView {
    #[serde(flatten)]
    group: DeadGroup,
    /// The newest ten; `GET /api/ops/jobs?group=…` lists all.
    newest_jobs: Vec<JobSummary>,
}

/// One group of dead jobs.
#[utoipa::path(
    get, path = "/api/ops/dead/{fingerprint}", tag = "operations",
    params(("fingerprint" = String, Path, description = "What its jobs have in common.")),
    responses((status = 200, body = GroupView))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(fingerprint): Path<String>,
) -> Result<Json<GroupView>, Problem> {
    let missing =
        || Problem::missing("group of dead jobs; all of them may have been retried or deleted");
    if fingerprint.contains('\0') {
        return Err(missing());
    }
    let group = groups::find(&app.pool, &fingerprint)
        .await?
        .ok_or_else(missing)?;
    let filter = Filter {
        fingerprint: Some(fingerprint),
        ..Filter::default()
    };
    let newest = admin::list(&app.queue, &filter, None, NEWEST).await?;
    Ok(Json(GroupView {
        group,
        newest_jobs: newest.jobs,
    }))
}

/// Calls a group resolved, until another job dies of it.
#[utoipa::path(
    post, path = "/api/ops/dead/{fingerprint}/resolve", tag = "operations",
    params(("fingerprint" = String, Path, description = "The group."), Once),
    request_body = Because,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn resolve(
    ops: Ops,
    Path(fingerprint): Path<String>,
    Json(body): Json<Because>,
) -> Result<Json<Done>, Problem> {
    ops.resolve_group(&fingerprint, body.reason()).await?;
    Ok(Done::plain())
}

/// Takes that back.
#[utoipa::path(
    post, path = "/api/ops/dead/{fingerprint}/reopen", tag = "operations",
    params(("fingerprint" = String, Path, description = "The group."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn reopen(
    ops: Ops,
    Path(fingerprint): Path<String>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.reopen_group(&fingerprint).await?;
    Ok(Done::plain())
}
