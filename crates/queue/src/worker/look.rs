//! One look at what is wanted of a worker: when lanes are due, what is paused, what is to be stopped.

use std::{collections::BTreeSet, time::Duration};

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    error::Error,
    ids::{JobId, WorkerId},
};

/// What people asked of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// To work.
    #[default]
    Work,
    /// To start nothing more.
    Quiet,
    /// To end.
    Drain,
}

/// A running job that somebody wants stopped.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation {
    pub(crate) job_id: JobId,
    /// Who and why, for people.
    pub(crate) message: String,
}

/// What one look saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Time until the first unowned lane is due; `None` when none ever is.
    pub(crate) next_due: Option<Duration>,
    /// The same of the urgent ones.
    pub(crate) next_urgent: Option<Duration>,
    pub(crate) is_everything_paused: bool,
    /// The pauses that hold, as words to compare with those of the look before.
    pub(crate) pauses: BTreeSet<String>,
    pub(crate) cancellations: Vec<Cancellation>,
    pub(crate) wanted: Wanted,
}

impl Seen {
    pub(crate) fn cancellation_of(&self, id: JobId) -> Option<&Cancellation> {
        self.cancellations
            .iter()
            .find(|cancellation| cancellation.job_id == id)
    }
}

/// Looks; one index entry of `lanes` and two tables that are nearly always empty.
pub(crate) async fn look(database: impl PgExecutor<'_>, worker: WorkerId) -> Result<Seen, Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            (
                SELECT extract(epoch FROM due_at - now())::float8
                FROM syncline.lanes
                WHERE owner IS NULL AND due_at IS NOT NULL AND due_at < 'infinity'
                ORDER BY due_at
                LIMIT 1
            ) AS due_seconds,
            (
                SELECT extract(epoch FROM due_at - now())::float8
                FROM syncline.lanes
                WHERE owner IS NULL AND is_urgent AND due_at < 'infinity'
                ORDER BY due_at
                LIMIT 1
            ) AS urgent_seconds,
            ARRAY(
                SELECT scope || ' ' || name
                FROM syncline.pauses
                WHERE paused_until IS NULL OR paused_until > now()
            ) AS "pauses!",
            ARRAY(SELECT job_id FROM syncline.cancellations ORDER BY job_id) AS "cancelled!: Vec<Uuid>",
            ARRAY(
                SELECT 'cancelled by ' || requested_by || ': ' || reason
                FROM syncline.cancellations
                ORDER BY job_id
            ) AS "messages!: Vec<String>",
            (SELECT wanted FROM syncline.workers WHERE id = $1) AS wanted
        "#,
        worker.0,
    )
    .fetch_one(database)
    .await
    .map_err(Error::database("look for due lanes"))?;
    let pauses: BTreeSet<String> = row.pauses.into_iter().collect();
    Ok(Seen {
        next_due: row.due_seconds.map(until),
        next_urgent: row.urgent_seconds.map(until),
        is_everything_paused: pauses.contains("everything "),
        pauses,
        cancellations: row
            .cancelled
            .into_iter()
            .zip(row.messages)
            .map(|(id, message)| Cancellation {
                job_id: JobId(id),
                message,
            })
            .collect(),
        wanted: match row.wanted.as_deref() {
            Some("quiet") => Wanted::Quiet,
            Some("drain") => Wanted::Drain,
            Some(_) | None => Wanted::Work,
        },
    })
}

fn until(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// Takes requests away whose jobs have ended.
pub(crate) async fn forget_cancellations(
    database: impl PgExecutor<'_>,
    jobs: &[Uuid],
) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.cancellations WHERE job_id = ANY ($1)",
        jobs
    )
    .execute(database)
    .await
    .map_err(Error::database("forget requests to cancel"))?;
    Ok(())
}
