//! A job as the one who asked for it may see it: its state, its attempts and its result.
//!
//! Messages of attempts stay inside; their class is enough to know what to do.

use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::{AttemptView, JobId, JobState, JobView};
use serde::Serialize;
use serde_json::Value;
use store::tenant;
use utoipa::ToSchema;

use super::{
    auth::Principal,
    extract::{Json, Path},
    problem::Problem,
};
use crate::app::App;

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicJob {
    id: JobId,
    kind: String,
    state: JobState,
    attempt: u16,
    max_attempts: u16,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    error_class: Option<String>,
    result: Option<Value>,
    attempts: Vec<PublicAttempt>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PublicAttempt {
    attempt: u16,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    outcome: String,
    error_class: String,
}

/// One job, if the key may see the organization it belongs to.
#[utoipa::path(
    get,
    path = "/api/jobs/{id}",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The `job_id` of an answer.")),
    responses((status = 200, body = PublicJob))
)]
pub(super) async fn show(
    State(app): State<App>,
    principal: Principal,
    Path(job_id): Path<JobId>,
) -> Result<Json<PublicJob>, Problem> {
    let job = app
        .queue
        .get(job_id)
        .await?
        .ok_or_else(|| Problem::missing("job"))?;
    if principal.organization_id().is_some() {
        let mut connection = principal.begin(&app).await?;
        if !tenant::has_job(&mut connection, job_id.0).await? {
            return Err(Problem::missing("job"));
        }
    }
    let is_visible = match &job.organization_id {
        Some(organization_id) => principal.may_see(organization_id),
        None => principal.organization_id().is_none(),
    };
    if !is_visible {
        return Err(Problem::missing("job"));
    }
    Ok(Json(job.into()))
}

impl From<JobView> for PublicJob {
    fn from(job: JobView) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            error_class: job.error_class.as_deref().map(public_class),
            result: job.result,
            attempts: job.attempts.into_iter().map(PublicAttempt::from).collect(),
        }
    }
}

impl From<AttemptView> for PublicAttempt {
    fn from(attempt: AttemptView) -> Self {
        Self {
            attempt: attempt.attempt,
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            outcome: attempt.outcome,
            error_class: public_class(&attempt.error_class),
        }
    }
}

/// A class in public words: the provider is not named.
fn public_class(class: &str) -> String {
    class.replace("merge_", "provider_")
}
