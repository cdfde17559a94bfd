//! Bulk actions, kept: prepared by somebody who looks at a count and a sample, confirmed, and then done in batches by a
//! job. What is confirmed is the row, so that neither going back nor another page can widen it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::bulk::{Bulk, Confirmation, Progress};
use crate::{error::Error, ids::JobId};

/// The id of a bulk action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct BulkId(pub Uuid);

impl fmt::Display for BulkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BulkId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a bulk action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BulkState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody confirmed it yet.
    Prepared,
    /// Its job does it.
    Running,
    /// Somebody ended it before its end.
    Stopped,
    /// Done.
    Done,
}

impl State {
    /// The name as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }

    fn from_stored(name: &str) -> Self {
        let all = [Self::Prepared, Self::Running, Self::Stopped, Self::Done];
        let state = all.into_iter().find(|state| state.as_str() == name);
        state.unwrap_or(Self::Done)
    }
}

/// A bulk action with how far it has come.
#[derive(Debug, Clone)]
pub struct BulkAction {
    /// Its id.
    pub id: BulkId,
    /// What is done to which jobs.
    pub bulk: Bulk,
    /// How many jobs, as counted when it was prepared.
    pub jobs: i64,
    /// The newest of them.
    pub sample: Vec<JobId>,
    /// Where it stands.
    pub state: State,
    /// When it was prepared.
    pub prepared_at: DateTime<Utc>,
    /// When it was confirmed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The job that does it.
    pub job_id: Option<JobId>,
    /// How far it has come.
    pub progress: Progress,
    /// Who asked for its end before the end.
    pub stopped_by: Option<String>,
}

/// Keeps what somebody is asked to confirm.
///
/// # Errors
/// [`Error::Database`].
pub async fn keep(tx: &mut PgConnection, confirmation: &Confirmation) -> Result<BulkId, Error> {
    let id = BulkId(Uuid::now_v7());
    let sample: Vec<Uuid> = confirmation.sample.iter().map(|job| job.id.0).collect();
    sqlx::query!(
        "INSERT INTO syncline.bulk_actions (id, bulk, jobs, sample) VALUES ($1, $2, $3, $4)",
        id.0,
        Json(&confirmation.bulk) as _,
        i64::try_from(confirmation.count).unwrap_or(i64::MAX),
        &sample,
    )
    .execute(tx)
    .await
    .map_err(Error::database("keep a bulk action"))?;
    Ok(id)
}

/// Marks a prepared action as confirmed, and as done by this job; false when it is not prepared, or was so more than an
/// hour ago: then what was counted is no longer what is there.
///
/// # Errors
/// [`Error::Database`].
pub async fn start(tx: &mut PgConnection, id: BulkId, job: JobId) -> Result<bool, Error> {
    let started = sqlx::query!(
        r#"
        UPDATE syncline.bulk_actions
        SET state = 'running', started_at = now(), job_id = $2
        WHERE id = $1
          AND state = 'prepared'
          AND prepared_at > now() - interval '1 hour'
        "#,
        id.0,
        job.0,
    )
    .execute(tx)
    .await
    .map_err(Error::database("start a bulk action"))?;
    Ok(started.rows_affected() == 1)
}

/// Asks a running action to end after its batch; false when it does not run.
///
/// # Errors
/// [`Error::Database`].
pub async fn stop(tx: &mut PgConnection, id: BulkId, by: &str) -> Result<bool, Error> {
    let asked = sqlx::query!(
        r#"
        UPDATE syncline.bulk_actions
        SET stopped_by = coalesce(stopped_by, $2)
        WHERE id = $1 AND state = 'running'
        "#,
        id.0,
        by,
    )
    .execute(tx)
    .await
    .map_err(Error::database("stop a bulk action"))?;
    Ok(asked.rows_affected() == 1)
}

/// Saves how far an action has come, in the transaction of the batch; `ended` when that was the last.
///
/// # Errors
/// [`Error::Database`].
pub async fn save(
    tx: &mut PgConnection,
    id: BulkId,
    progress: Progress,
    ended: Option<State>,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.bulk_actions
        SET reached = $2, done = $3, skipped = $4,
            state = coalesce($5, state),
            ended_at = CASE WHEN $5::text IS NULL THEN ended_at ELSE now() END
        WHERE id = $1
        "#,
        id.0,
        progress.reached.map(|id| id.0),
        i64::try_from(progress.done).unwrap_or(i64::MAX),
        i64::try_from(progress.skipped).unwrap_or(i64::MAX),
        ended.map(State::as_str),
    )
    .execute(tx)
    .await
    .map_err(Error::database("save a bulk action"))?;
    Ok(())
}

/// Reads an action.
///
/// # Errors
/// [`Error::Database`].
pub async fn find(tx: &mut PgConnection, id: BulkId) -> Result<Option<BulkAction>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT
            id, bulk AS "bulk: Json<Bulk>", jobs, sample, state, prepared_at, started_at, ended_at, job_id, reached,
            done, skipped, stopped_by
        FROM syncline.bulk_actions
        WHERE id = $1
        "#,
        id.0
    )
    .fetch_optional(tx)
    .await
    .map_err(Error::database("read a bulk action"))?;
    Ok(row.map(Row::view))
}

/// The actions that were confirmed, newest first, at most `limit`.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(tx: &mut PgConnection, limit: u16) -> Result<Vec<BulkAction>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT
            id, bulk AS "bulk: Json<Bulk>", jobs, sample, state, prepared_at, started_at, ended_at, job_id, reached,
            done, skipped, stopped_by
        FROM syncline.bulk_actions
        WHERE state <> 'prepared'
        ORDER BY id DESC
        LIMIT $1
        "#,
        i64::from(limit)
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("list bulk actions"))?;
    Ok(rows.into_iter().map(Row::view).collect())
}

struct Row {
    id: Uuid,
    bulk: Json<Bulk>,
    jobs: i64,
    sample: Vec<Uuid>,
    state: String,
    prepared_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    job_id: Option<Uuid>,
    reached: Option<Uuid>,
    done: i64,
    skipped: i64,
    stopped_by: Option<String>,
}

impl Row {
    fn view(self) -> BulkAction {
        let state = State::from_stored(&self.state);
        BulkAction {
            id: BulkId(self.id),
            bulk: self.bulk.0,
            jobs: self.jobs,
            sample: self.sample.into_iter().map(JobId).collect(),
            state,
            prepared_at: self.prepared_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            job_id: self.job_id.map(JobId),
            progress: Progress {
                reached: self.reached.map(JobId),
                done: self.done.unsigned_abs(),
                skipped: self.skipped.unsigned_abs(),
                is_complete: state == State::Done,
            },
            stopped_by: self.stopped_by,
        }
    }
}
