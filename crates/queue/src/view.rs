//! Jobs as people and callers see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::{
    error::Error,
    ids::{JobId, Lane, WorkerId},
};

mod detail;
mod why;

pub use detail::{JobDetail, Span};
pub(crate) use detail::{detail, job_of_request};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its time; no attempt is used.
    Scheduled,
    /// Due; waits for a slot.
    Available,
    /// Runs.
    Running,
    /// Failed; runs again.
    Retryable,
    /// Done.
    Completed,
    /// Given up on purpose.
    Cancelled,
    /// Used all its attempts.
    Dead,
}

impl JobState {
    /// Whether it will not run again by itself.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Dead)
    }

    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Retryable,
        Self::Completed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// Those of jobs that will start by themselves.
    pub const WAITING: [Self; 3] = [Self::Scheduled, Self::Available, Self::Retryable];

    /// Those of jobs that have not ended.
    pub const LIVE: [Self; 4] = [
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Retryable,
    ];

    /// The name as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    pub(crate) fn from_stored(name: &str) -> Self {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == name);
        state.unwrap_or(Self::Available)
    }
}

/// A job with everything known of it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// Its class.
    pub queue: String,
    /// Its lane.
    pub lane: Lane,
    /// Where it stands.
    pub state: JobState,
    /// Attempts begun.
    pub attempt: u16,
    /// Attempts there may be.
    pub max_attempts: u16,
    /// Earliest start.
    pub run_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the current or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Of the last failed attempt, or why it waits.
    pub last_error: Option<String>,
    /// Groups errors: `timeout`, `account_not_found` … Set when the job ended badly.
    pub error_class: Option<String>,
    /// Whose job it is.
    pub organization_id: Option<String>,
    /// The job that enqueued it.
    pub parent_id: Option<JobId>,
    /// The W3C `traceparent` of whoever enqueued it.
    pub trace_context: Option<String>,
    /// What it left for those who waited.
    pub result: Option<Value>,
    /// Attempts that failed, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AttemptView {
    /// Which; the first is 1.
    pub attempt: u16,
    /// Who ran it.
    pub worker: Option<WorkerId>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// `retried`, `crashed`, `cancelled` or `dead`.
    pub outcome: String,
    /// Groups errors.
    pub error_class: String,
    /// For people.
    pub message: String,
    /// What the far side answered, if it did.
    pub http_status: Option<u16>,
}

pub(crate) async fn get(pool: &PgPool, id: JobId) -> Result<Option<JobView>, Error> {
    let row = sqlx::query_file!("src/view/get.sql", id.0)
        .fetch_optional(pool)
        .await
        .map_err(Error::database("read a job"))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(JobView {
        id,
        kind: row.kind,
        queue: row.queue,
        lane: Lane::from_stored(row.lane),
        state: JobState::from_stored(&row.state),
        attempt: unsigned(row.attempt),
        max_attempts: unsigned(row.max_attempts),
        run_at: row.run_at,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        last_error: row.last_error,
        error_class: row.error_class,
        organization_id: row.organization_id,
        parent_id: row.parent_id.map(JobId),
        trace_context: row.trace_context,
        result: row.result,
        attempts: attempts(pool, id).await?,
    }))
}

/// Where a job stands; `None` when there is no such job.
pub(crate) async fn state(tx: &mut PgConnection, id: JobId) -> Result<Option<JobState>, Error> {
    let state = sqlx::query_scalar!(
        r#"SELECT state AS "state!" FROM syncline.all_jobs WHERE id = $1"#,
        id.0
    )
    .fetch_optional(tx)
    .await
    .map_err(Error::database("read the state of a job"))?;
    Ok(state.map(|state| JobState::from_stored(&state)))
}

async fn attempts(pool: &PgPool, id: JobId) -> Result<Vec<AttemptView>, Error> {
    let rows = sqlx::query_file!("src/view/attempts.sql", id.0)
        .fetch_all(pool)
        .await
        .map_err(Error::database("read the attempts of a job"))?;
    let view = rows.into_iter().map(|row| AttemptView {
        attempt: unsigned(row.attempt),
        worker: row.worker_id.map(WorkerId),
        started_at: row.started_at,
        finished_at: row.finished_at,
        outcome: row.outcome,
        error_class: row.error_class,
        message: row.message,
        http_status: row.http_status.map(unsigned),
    });
    Ok(view.collect())
}

/// Stored numbers are checked to be positive.
pub(crate) fn unsigned(number: i16) -> u16 {
    number.try_into().unwrap_or(0)
}
