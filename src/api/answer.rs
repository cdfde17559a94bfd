//! How a job becomes an answer: 202 with its address, or what it came to, for those who wait.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use queue::{JobId, JobState, JobView};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    extract::Json,
    intake::Accepted,
    prefer::{self, Prefer},
    problem::{Kind, Problem},
};
use crate::app::App;

/// Says that an earlier request did it.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How the job of a request stands when the answer is due.
pub(super) enum Ending {
    /// It completed; this is its result.
    Completed(Value),
    /// It has not ended yet, or nobody wanted to wait.
    Open,
}

/// Waits as long as the caller prefers, `default` if nothing is said.
///
/// # Errors
/// The problem that the job ended in.
pub(super) async fn wait(
    app: &App,
    job_id: JobId,
    prefer: Prefer,
    default: Option<Duration>,
) -> Result<Ending, Problem> {
    let Some(patience) = prefer.patience(default) else {
        return Ok(Ending::Open);
    };
    match app.queue.wait(job_id, patience).await? {
        None => Ok(Ending::Open),
        Some(job) if job.state == JobState::Completed => {
            Ok(Ending::Completed(job.result.unwrap_or_default()))
        }
        Some(job) => Err(refusal(&job)),
    }
}

/// What a job that ended without success means to the one who asked for it. Neutral: the far side's
/// name and words stay inside.
fn refusal(job: &JobView) -> Problem {
    match job.error_class.as_deref().unwrap_or_default() {
        "account_not_found" | "wrong_organization" => Problem::missing("linked account"),
        "endpoint_not_found" => Problem::missing("webhook endpoint"),
        "already_active" => Problem::new(Kind::AlreadyActive, "The account is linked already."),
        "merge_rejected" => Problem::new(
            Kind::Refused,
            "The integration provider refused the request; its values may be wrong or expired.",
        ),
        "rate_limited" | "server_error" | "transport" | "timeout" => Problem::new(
            Kind::Unavailable,
            "The integration provider is not available just now.",
        )
        .retry_after(Duration::from_secs(30)),
        _ => Problem::new(
            Kind::BadUpstream,
            "The integration provider could not do this.",
        ),
    }
}

/// A job will do it.
#[derive(Serialize, ToSchema)]
pub(super) struct Pending {
    success: bool,
    /// `accepted`
    status: &'static str,
    job_id: JobId,
}

/// 202: the job's address, where its end will be seen.
pub(super) fn accepted(accepted: Accepted, prefer: Prefer) -> Response {
    let Accepted { job_id, .. } = accepted;
    let body = Json(Pending {
        success: true,
        status: "accepted",
        job_id,
    });
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    let location =
        HeaderValue::from_str(&format!("/api/jobs/{job_id}")).expect("a UUID is visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    annotate(response, accepted, prefer)
}

/// 200: what the job came to.
pub(super) fn completed(body: impl Serialize, accepted: Accepted, prefer: Prefer) -> Response {
    annotate(Json(body).into_response(), accepted, prefer)
}

/// Says which preference was followed, and whether an earlier request's job answers.
fn annotate(mut response: Response, accepted: Accepted, prefer: Prefer) -> Response {
    if let Some(applied) = prefer.applied() {
        response.headers_mut().insert(prefer::APPLIED, applied);
    }
    if accepted.is_replay {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
