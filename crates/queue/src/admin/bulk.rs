//! One action on all jobs that fulfil a filter, in batches.
//!
//! What is acted on is what was confirmed: a job that was enqueued, or died, after the confirmation is
//! not touched, however well it fits. Batches go from the newest id to the oldest, and
//! [`Progress`] holds the id reached, so they can stop and go on at any time. Save it in the transaction
//! of the batch: then each job is acted on once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Request, write},
    filter::{Filter, invalid},
    list::{JobSummary, Search, begin, plan_for_values},
};
use crate::{client::Client, error::Error, ids::JobId, registry::Registry, view::JobState};

/// Jobs one batch may have.
pub const MAX_BATCH: u16 = 1_000;
/// Jobs shown before somebody confirms.
const SAMPLE: usize = 10;

/// What is to be done with each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BulkActionName)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// As [`super::retry`], of jobs that ended.
    Retry,
    /// As [`super::retry_now`], of jobs that wait.
    RetryNow,
    /// As [`super::cancel`], of jobs that wait or run.
    Cancel,
    /// As [`super::delete`], of jobs that wait or are dead.
    Delete,
}

impl Action {
    /// The name as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RetryNow => "retry now",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }

    /// The states in which it can be done.
    pub fn states(self) -> &'static [JobState] {
        use JobState::{Available, Cancelled, Completed, Dead, Retryable, Running, Scheduled};
        match self {
            Self::Retry => &[Dead, Cancelled, Completed],
            Self::RetryNow => &[Scheduled, Available, Retryable],
            Self::Cancel => &[Scheduled, Available, Retryable, Running],
            Self::Delete => &[Scheduled, Available, Retryable, Dead],
        }
    }
}

/// An action as it was confirmed; can be stored and taken up by another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    filter: Filter,
    action: Action,
    request: Request,
    /// Jobs from before this time only, by the database's clock.
    bound_to: DateTime<Utc>,
}

/// What somebody is asked to confirm.
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// The action, bound to the jobs counted here.
    pub bulk: Bulk,
    /// How many jobs, exactly.
    pub count: u64,
    /// The newest of them.
    pub sample: Vec<JobSummary>,
}

/// How far a bulk action has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BulkProgress)]
pub struct Progress {
    /// The id reached; jobs with smaller ones are still to come.
    pub reached: Option<JobId>,
    /// Jobs the action was done to.
    pub done: u64,
    /// Jobs that fitted and were left: they changed meanwhile, or a job with their unique key waits.
    pub skipped: u64,
    /// Whether there is nothing more to do.
    pub is_complete: bool,
}

impl Bulk {
    /// Which jobs.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What is done to them.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Who wants it, and why.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Only jobs from before this time.
    pub fn bound_to(&self) -> DateTime<Utc> {
        self.bound_to
    }

    /// Counts and shows the jobs that `action` would be done to, as they stand now.
    ///
    /// Without states in the filter those are meant in which the action can be done.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] and [`Error::InvalidName`] for what cannot be meant, also for states in
    /// which the action cannot be done; [`Error::Database`].
    pub async fn prepare(
        client: &Client,
        mut filter: Filter,
        action: Action,
        request: Request,
    ) -> Result<Confirmation, Error> {
        filter.check()?;
        request.check()?;
        if filter.states.is_empty() {
            action.states().clone_into(&mut filter.states);
        }
        if let Some(state) = filter
            .states
            .iter()
            .find(|state| !action.states().contains(state))
        {
            let reason = format!(
                "{action:?} cannot be done to jobs that are {}",
                state.as_str()
            );
            return Err(invalid("bulk action", reason));
        }
        let pool = client.pool().clone();
        let preparing = async move {
            let mut tx = begin(&pool).await?;
            // Its one moment is that of the count, the sample and the bound.
            let bound_to = sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
                .fetch_one(&mut *tx)
                .await
                .map_err(Error::database("count jobs"))?;
            let search = Search::new(&mut tx, &filter, Some(bound_to)).await?;
            let count = search.count(&mut tx).await?;
            let ids = filter.ids();
            let sample = search.between(&mut tx, ids, SAMPLE).await?;
            tx.commit().await.map_err(Error::database("count jobs"))?;
            let bulk = Self {
                filter,
                action,
                request,
                bound_to,
            };
            Ok(Confirmation {
                bulk,
                count,
                sample,
            })
        };
        client
            .spawn(preparing)
            .await
            .map_err(|_aborted| Error::ShuttingDown)?
    }

    /// Does the action to the next jobs, `limit` at most, in the caller's transaction.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when `limit` is zero or over [`MAX_BATCH`]; [`Error::Database`], also
    /// when others hold the locks it needs for half a second: it gives way, roll back and try again.
    pub async fn run_batch<C: Send + Sync + 'static>(
        &self,
        tx: &mut PgConnection,
        registry: &Registry<C>,
        progress: Progress,
        limit: u16,
    ) -> Result<Progress, Error> {
        if limit == 0 || limit > MAX_BATCH {
            let reason = format!("{limit} jobs are not between 1 and {MAX_BATCH}");
            return Err(invalid("batch", reason));
        }
        if progress.is_complete {
            return Ok(progress);
        }
        give_way(tx).await?;
        plan_for_values(tx).await?;
        let search = Search::new(tx, &self.filter, Some(self.bound_to)).await?;
        let ids = self.filter.ids();
        let reached = progress.reached.map(|id| id.0);
        let below = [reached, ids.end].into_iter().flatten().min();
        let jobs = search
            .between(tx, ids.start..below, usize::from(limit))
            .await?;
        let done = self.act(tx, registry, &jobs).await?;
        Ok(Progress {
            reached: jobs.last().map(|job| job.id).or(progress.reached),
            done: progress.done + done as u64,
            skipped: progress.skipped + (jobs.len() - done.min(jobs.len())) as u64,
            is_complete: jobs.len() < usize::from(limit),
        })
    }

    async fn act<C: Send + Sync + 'static>(
        &self,
        tx: &mut PgConnection,
        registry: &Registry<C>,
        jobs: &[JobSummary],
    ) -> Result<usize, Error> {
        let with = |states: &[JobState]| -> Vec<Uuid> {
            let fitting = jobs.iter().filter(|job| states.contains(&job.state));
            fitting.map(|job| job.id.0).collect()
        };
        let waiting = with(&JobState::WAITING);
        let dead = with(&[JobState::Dead]);
        Ok(match self.action {
            Action::Retry => {
                let ended = with(&[JobState::Completed, JobState::Cancelled]);
                let revived = write::revive(tx, &dead).await?.len();
                revived
                    + write::enqueue_again(tx, registry, &ended)
                        .await?
                        .added
                        .len()
            }
            Action::RetryNow => write::run_now(tx, &waiting).await?.len(),
            Action::Cancel => {
                let running = with(&[JobState::Running]);
                let ended = write::cancel_waiting(tx, &waiting, &self.request)
                    .await?
                    .len();
                ended + write::ask_to_stop(tx, &running, &self.request).await?.len()
            }
            Action::Delete => {
                let waiting = write::delete_waiting(tx, &waiting).await?.len();
                waiting + write::delete_dead(tx, &dead).await?.len()
            }
        })
    }
}

/// A batch locks many lanes; in a deadlock it, and not somebody's enqueueing, is to be the one that ends.
async fn give_way(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query_scalar!(r#"SELECT set_config('lock_timeout', '500ms', true) AS "set""#)
        .fetch_one(tx)
        .await
        .map_err(Error::database("begin a batch"))?;
    Ok(())
}
