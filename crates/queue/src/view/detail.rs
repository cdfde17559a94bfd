//! All that is known of one job, for those who look into it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use phrases::Phrase;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::{JobState, JobView, unsigned, why};
use crate::{
    error::Error,
    ids::{JobId, WorkerId},
    notes::Notes,
};

/// Children that are answered.
const MAX_CHILDREN: i64 = 100;
/// Jobs looked at to find them.
const MAX_LOOKED_AT: i64 = 20_000;

/// A job with all that led to it and followed from it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobDetail {
    /// The job.
    pub job: JobView,
    /// Its JSON arguments; may hold what not everybody may see.
    pub payload: Value,
    /// Lower runs first within its lane.
    pub priority: i16,
    /// For people who look for it.
    pub tags: Vec<String>,
    /// At most one pending job per kind and key.
    pub unique_key: Option<String>,
    /// At most one running job per lane and key.
    pub limit_key: Option<String>,
    /// What the far side answered when it died.
    pub http_status: Option<u16>,
    /// The group of dead jobs it belongs to, if it is dead; see [`crate::admin::groups`].
    pub fingerprint: Option<String>,
    /// Every attempt, oldest first: those that failed, and the one that ended it or still runs.
    pub timeline: Vec<Span>,
    /// Jobs it enqueued, oldest first; the first 100.
    pub children: Vec<JobId>,
    /// Why it does not run, in one sentence; `None` when it runs or has ended.
    #[schema(value_type = Option<String>)]
    pub why_not_running: Option<Phrase>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Span {
    /// Which; the first is 1. A dead job that was retried counts from 1 again.
    pub attempt: u16,
    /// Who ran it.
    pub worker: Option<WorkerId>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<DateTime<Utc>>,
    /// `running`, `completed`, `retried`, `crashed`, `cancelled` or `dead`.
    pub outcome: String,
    /// Groups errors.
    pub error_class: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// What the far side answered, if it did.
    pub http_status: Option<u16>,
    /// What it left: the requests it made, the lines it logged. `None` while it runs, and when there was nothing to tell.
    pub notes: Option<Notes>,
}

/// Everything known of a job; `None` when there is no such job.
pub(crate) async fn detail(pool: &PgPool, id: JobId) -> Result<Option<JobDetail>, Error> {
    let Some(job) = super::get(pool, id).await? else {
        return Ok(None);
    };
    let rest = sqlx::query!(
        r#"
        SELECT
            payload AS "payload!", priority AS "priority!", tags AS "tags!", unique_key, limit_key,
            http_status, worker_id, fingerprint
        FROM syncline.all_jobs
        WHERE id = $1
        LIMIT 1
        "#,
        id.0
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::database("read a job"))?;
    // Deleted between the two looks.
    let Some(rest) = rest else { return Ok(None) };
    let why_not_running = match job.state {
        JobState::Scheduled | JobState::Available | JobState::Retryable => {
            why::why_not_running(pool, id).await?
        }
        JobState::Running | JobState::Completed | JobState::Cancelled | JobState::Dead => None,
    };
    Ok(Some(JobDetail {
        timeline: timeline(&job, rest.worker_id.map(WorkerId), notes(pool, id).await?),
        children: children(pool, &job).await?,
        payload: rest.payload,
        priority: rest.priority,
        tags: rest.tags,
        unique_key: rest.unique_key,
        limit_key: rest.limit_key,
        http_status: rest.http_status.map(unsigned),
        fingerprint: rest.fingerprint,
        why_not_running,
        job,
    }))
}

/// The failed attempts, and the one that is not among them because it runs or ended well.
fn timeline(
    job: &JobView,
    worker: Option<WorkerId>,
    mut notes: HashMap<DateTime<Utc>, Notes>,
) -> Vec<Span> {
    let failed = job.attempts.iter().map(|attempt| Span {
        attempt: attempt.attempt,
        worker: attempt.worker,
        started_at: attempt.started_at,
        finished_at: Some(attempt.finished_at),
        outcome: attempt.outcome.clone(),
        error_class: Some(attempt.error_class.clone()),
        message: Some(attempt.message.clone()),
        http_status: attempt.http_status,
        notes: None,
    });
    let is_apart = matches!(job.state, JobState::Running | JobState::Completed);
    let last = job.started_at.filter(|_| is_apart).map(|started_at| Span {
        attempt: job.attempt,
        worker,
        started_at,
        finished_at: job.finished_at,
        outcome: job.state.as_str().to_owned(),
        error_class: None,
        message: None,
        http_status: None,
        notes: None,
    });
    let mut spans: Vec<_> = failed.chain(last).collect();
    for span in &mut spans {
        span.notes = notes.remove(&span.started_at);
    }
    spans
}

/// What the attempts left, by when they began.
/// The job of the newest attempt that made the request which the far side calls so.
pub(crate) async fn job_of_request(
    pool: &PgPool,
    request_id: &str,
) -> Result<Option<JobId>, Error> {
    let found = sqlx::query_scalar!(
        r#"
        SELECT job_id
        FROM syncline.attempt_notes
        WHERE jsonb_path_query_array(notes::jsonb, '$.requests[*].request_id') @> to_jsonb($1::text)
        ORDER BY finished_at DESC
        LIMIT 1
        "#,
        request_id
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::database("look for the job of a request"))?;
    Ok(found.map(JobId))
}

async fn notes(pool: &PgPool, id: JobId) -> Result<HashMap<DateTime<Utc>, Notes>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT started_at, notes
        FROM syncline.attempt_notes
        WHERE job_id = $1
        ORDER BY started_at
        LIMIT 1000
        "#,
        id.0
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("read what the attempts of a job left"))?;
    let notes = rows
        .into_iter()
        .filter_map(|row| Some((row.started_at, serde_json::from_value(row.notes).ok()?)));
    Ok(notes.collect())
}

/// Jobs that this one enqueued. Ids carry their time, so only those made while it ran are looked at.
async fn children(pool: &PgPool, job: &JobView) -> Result<Vec<JobId>, Error> {
    let first_start = job.attempts.first().map(|attempt| attempt.started_at);
    let Some(began) = first_start.or(job.started_at) else {
        return Ok(Vec::new());
    };
    let ids = sqlx::query_scalar!(
        r#"
        SELECT id AS "id!"
        FROM (
            SELECT id, parent_id
            FROM syncline.all_jobs
            WHERE id >= $2 AND ($3::uuid IS NULL OR id < $3)
            ORDER BY id
            LIMIT $4
        ) AS since
        WHERE parent_id = $1
        ORDER BY id
        LIMIT $5
        "#,
        job.id.0,
        // A minute for clocks that differ.
        crate::ids::first_at(began - chrono::TimeDelta::minutes(1)),
        job.finished_at
            .map(|end| crate::ids::first_at(end + chrono::TimeDelta::minutes(1))),
        MAX_LOOKED_AT,
        MAX_CHILDREN,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look for the children of a job"))?;
    Ok(ids.into_iter().map(JobId).collect())
}
