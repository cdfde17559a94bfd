//! Jobs as people and callers see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use crate::{
    error::Error,
    ids::{JobId, Lane},
};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its time; never ran.
    Scheduled,
    /// Due; waits for a slot.
    Available,
    /// Runs.
    Running,
    /// Failed or was put off; runs again.
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

    fn from_stored(name: &str) -> Self {
        match name {
            "scheduled" => Self::Scheduled,
            "running" => Self::Running,
            "retryable" => Self::Retryable,
            "completed" => Self::Completed,
            "cancelled" => Self::Cancelled,
            "dead" => Self::Dead,
            _ => Self::Available,
        }
    }
}

/// A job with everything known of it.
#[derive(Debug, Clone, Serialize)]
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
    /// What it left for those who waited.
    pub result: Option<Value>,
    /// Attempts that failed, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// Which; the first is 1.
    pub attempt: u16,
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
        result: row.result,
        attempts: attempts(pool, id).await?,
    }))
}

async fn attempts(pool: &PgPool, id: JobId) -> Result<Vec<AttemptView>, Error> {
    let rows = sqlx::query_file!("src/view/attempts.sql", id.0)
        .fetch_all(pool)
        .await
        .map_err(Error::database("read the attempts of a job"))?;
    let view = rows.into_iter().map(|row| AttemptView {
        attempt: unsigned(row.attempt),
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
