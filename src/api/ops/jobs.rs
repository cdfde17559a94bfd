//! Jobs: lists, one with all that is known of it, and what can be done with it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::admin::{self, Edit, Filter, JobSummary, TimeRange};
use queue::{JobDetail, JobId, JobState, Lane, WorkerId};
use serde::{Deserialize, Serialize};
use store::AccountId;
use utoipa::{IntoParams, ToSchema};

use super::{
    Done,
    body::{Because, Perhaps, Reason},
};
use crate::api::{
    extract::{Json, Path, Query},
    field::{Limit, Listed, Text},
    page::Cursor,
    prefer::Once,
    problem::{Fault, Problem},
};
use crate::app::App;
use crate::ops::{Ops, redact};

/// A value to filter by.
type Value = Text<75>;

/// Query of the list; all that is asked for must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListJobs {
    /// Any of these.
    #[serde(default)]
    #[param(value_type = Option<Vec<JobState>>, style = Form, explode = false, min_items = 1)]
    state: Listed<JobState>,
    /// Any of these.
    #[serde(default)]
    #[param(inline, value_type = Option<Vec<Value>>, style = Form, explode = false, min_items = 1, max_items = 100)]
    kind: Listed<Value>,
    /// Any of these.
    #[serde(default)]
    #[param(inline, value_type = Option<Vec<Value>>, style = Form, explode = false, min_items = 1, max_items = 100)]
    queue: Listed<Value>,
    /// Part of the last error's text, in whatever case.
    #[param(inline)]
    error: Option<Value>,
    /// What the payload holds: a path and the text there, such as `account_id=7`; without `=`, that there is something.
    #[param(inline)]
    payload: Option<Value>,
    /// Jobs of this linked account.
    #[param(inline)]
    account: Option<AccountId>,
    /// Jobs of this organization.
    #[param(inline)]
    organization: Option<Value>,
    /// Jobs of this lane.
    #[param(inline)]
    lane: Option<Value>,
    /// Jobs that have this tag.
    #[param(inline)]
    tag: Option<Value>,
    /// At least so many attempts begun.
    #[param(maximum = 65_535)]
    min_attempt: Option<u16>,
    /// The class of the error that ended them.
    #[param(inline)]
    class: Option<Value>,
    /// What the far side answered when they died.
    #[param(minimum = 100, maximum = 599)]
    http_status: Option<u16>,
    /// Jobs that this worker runs, or ran last.
    #[param(inline)]
    worker: Option<WorkerId>,
    /// Jobs that this job enqueued.
    #[param(inline)]
    parent: Option<JobId>,
    /// Dead jobs of this group, by its fingerprint.
    #[param(inline)]
    group: Option<Value>,
    /// What `from` and `before` are about.
    #[serde(default)]
    #[param(inline)]
    time: Time,
    /// Not earlier.
    from: Option<DateTime<Utc>>,
    /// Earlier than this.
    before: Option<DateTime<Utc>>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<JobId>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A time of a job.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Time {
    /// When it was enqueued.
    #[default]
    Created,
    /// Its earliest start.
    RunAt,
    /// When it ended.
    Finished,
}

impl ListJobs {
    fn filter(&self) -> Result<Filter, Problem> {
        let text = |value: &Option<Value>| value.as_ref().map(|value| value.as_str().to_owned());
        let all = |values: &Listed<Value>| {
            values
                .0
                .iter()
                .map(|value| value.as_str().to_owned())
                .collect()
        };
        let account = self
            .account
            .map(|id| Lane::account(id.0).as_str().to_owned());
        let lane = text(&self.lane);
        if account.is_some() && lane.is_some() && account != lane {
            let fault = Fault::of("lane", "is another than that of the account");
            return Err(Problem::field(fault));
        }
        let range = TimeRange {
            from: self.from,
            before: self.before,
        };
        let mut filter = Filter {
            states: self.state.0.clone(),
            kinds: all(&self.kind),
            queues: all(&self.queue),
            lane: account.or(lane),
            organization_id: text(&self.organization),
            tag: text(&self.tag),
            min_attempt: self.min_attempt,
            error_text: text(&self.error),
            payload: text(&self.payload),
            error_class: text(&self.class),
            http_status: self.http_status,
            fingerprint: text(&self.group),
            worker: self.worker,
            parent: self.parent,
            ..Filter::default()
        };
        match self.time {
            Time::Created => filter.created = range,
            Time::RunAt => filter.run_at = range,
            Time::Finished => filter.finished = range,
        }
        Ok(filter)
    }
}

/// A page of jobs, newest first. It may be shorter than asked for, or empty, and still have a `next`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobList {
    jobs: Vec<JobSummary>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<JobId>>,
}

/// Jobs that fulfil a filter.
#[utoipa::path(get, path = "/api/ops/jobs", tag = "operations", params(ListJobs), responses((status = 200, body = JobList)))]
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListJobs>,
) -> Result<Json<JobList>, Problem> {
    let filter = query.filter()?;
    let after = query.cursor.as_ref().map(|cursor| cursor.0);
    let page = admin::list(&app.queue, &filter, after, query.limit.0).await?;
    Ok(Json(JobList {
        jobs: page.jobs,
        next: page.next.map(Cursor),
    }))
}

/// A job with each of its attempts, why it is not running, what caused it and what it caused; without secrets.
#[utoipa::path(
    get, path = "/api/ops/jobs/{id}", tag = "operations",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, body = JobDetail))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<JobId>,
) -> Result<Json<JobDetail>, Problem> {
    let detail = app.queue.detail(id).await?;
    let mut detail = detail.ok_or(queue::Error::NoSuchJob { id })?;
    detail.payload = redact::redacted(&detail.payload);
    detail.job.result = detail.job.result.as_ref().map(redact::redacted);
    Ok(Json(detail))
}

/// Runs an ended job again, with a fresh set of attempts; `job_id` tells under which id it lives.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/retry", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = Perhaps,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn retry(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<Perhaps>,
) -> Result<Json<Done>, Problem> {
    let lives_as = ops.retry_job(id, body.reason()).await?;
    Ok(Done::by(lives_as))
}

/// Lets a waiting job start at once, as far as its lane allows.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/retry-now", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = Perhaps,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn retry_now(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<Perhaps>,
) -> Result<Json<Done>, Problem> {
    ops.retry_job_now(id, body.reason()).await?;
    Ok(Done::plain())
}

/// Until when a job is put off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Snooze {
    until: DateTime<Utc>,
    reason: Option<Reason>,
}

/// Puts a waiting job off; no attempt is used.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/snooze", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = Snooze,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn snooze(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<Snooze>,
) -> Result<Json<Done>, Problem> {
    let reason = body.reason.as_ref().map(Text::as_str);
    ops.snooze_job(id, body.until, reason).await?;
    Ok(Done::plain())
}

/// What is changed of a job; at least one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditJob {
    /// Earliest start.
    run_at: Option<DateTime<Utc>>,
    /// Lower runs first within its lane.
    #[schema(minimum = -32_768, maximum = 32_767)]
    priority: Option<i16>,
    reason: Option<Reason>,
}

/// Changes the time or the priority of a waiting job.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/edit", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = EditJob,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn edit(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<EditJob>,
) -> Result<Json<Done>, Problem> {
    let edit = Edit {
        run_at: body.run_at,
        priority: body.priority,
    };
    let reason = body.reason.as_ref().map(Text::as_str);
    ops.edit_job(id, edit, reason).await?;
    Ok(Done::plain())
}

/// Ends a waiting job; asks the worker of a running one to stop it.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/cancel", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = Because,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn cancel(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<Because>,
) -> Result<Json<Done>, Problem> {
    ops.cancel_job(id, body.reason()).await?;
    Ok(Done::plain())
}

/// Removes a dead or waiting job for good.
#[utoipa::path(
    post, path = "/api/ops/jobs/{id}/delete", tag = "operations",
    params(("id" = JobId, Path, description = "The job."), Once),
    request_body = Because,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn delete(
    ops: Ops,
    Path(id): Path<JobId>,
    Json(body): Json<Because>,
) -> Result<Json<Done>, Problem> {
    ops.delete_job(id, body.reason()).await?;
    Ok(Done::plain())
}
