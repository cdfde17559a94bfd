//! Single jobs: again, at once, later, not at all.
//!
//! How a job stood before is read before the transaction begins: who holds a connection and waits for another can bring
//! all to a stop.

use chrono::{DateTime, Utc};
use phrases::{Phrase, mark, say};
use queue::admin::{self, Cancelled, Edit, JobSummary};
use queue::{JobId, JobState, JobView};
use serde_json::json;

use super::words::took;
use super::{Deed, Error, Ops};

impl Ops {
    /// Runs an ended job again; answers the id under which it lives.
    pub async fn retry_job(&self, id: JobId, reason: Option<&str>) -> Result<JobId, Error> {
        self.demand(Deed::JobRetry)?;
        let before = self.state_of(id).await?;
        let mut change = self.begin(Deed::JobRetry).await?;
        let lives_as = admin::retry(change.connection(), &jobs::registry(), id).await?;
        change.makes(lives_as);
        let detail = json!({ "before": before, "lives_as": lives_as });
        change.done(&id.to_string(), reason, detail).await?;
        Ok(lives_as)
    }

    /// Lets a waiting job start at once.
    pub async fn retry_job_now(&self, id: JobId, reason: Option<&str>) -> Result<(), Error> {
        self.demand(Deed::JobRetryNow)?;
        let before = self.job(id).await?;
        let mut change = self.begin(Deed::JobRetryNow).await?;
        admin::retry_now(change.connection(), id).await?;
        let detail = json!({ "before": { "state": before.state, "run_at": before.run_at } });
        change.done(&id.to_string(), reason, detail).await
    }

    /// Puts a waiting job off.
    pub async fn snooze_job(
        &self,
        id: JobId,
        until: DateTime<Utc>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let edit = Edit {
            run_at: Some(until),
            priority: None,
        };
        self.change_job(Deed::JobSnooze, id, edit, reason).await
    }

    /// Changes the time or the priority of a waiting job.
    pub async fn edit_job(&self, id: JobId, edit: Edit, reason: Option<&str>) -> Result<(), Error> {
        self.change_job(Deed::JobEdit, id, edit, reason).await
    }

    async fn change_job(
        &self,
        deed: Deed,
        id: JobId,
        edit: Edit,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.demand(deed)?;
        let before = self.queue.detail(id).await?;
        let before = before.ok_or(queue::Error::NoSuchJob { id })?;
        let mut change = self.begin(deed).await?;
        admin::edit(change.connection(), id, edit).await?;
        let detail = json!({
            "before": { "run_at": before.job.run_at, "priority": before.priority },
            "after": {
                "run_at": edit.run_at.unwrap_or(before.job.run_at),
                "priority": edit.priority.unwrap_or(before.priority),
            },
        });
        change.done(&id.to_string(), reason, detail).await
    }

    /// Ends a waiting job; asks the worker of a running one to stop it.
    pub async fn cancel_job(&self, id: JobId, reason: &str) -> Result<Cancelled, Error> {
        self.demand(Deed::JobCancel)?;
        let before = self.state_of(id).await?;
        let mut change = self.begin(Deed::JobCancel).await?;
        let request = self.request(Deed::JobCancel, Some(reason));
        let cancelled = admin::cancel(change.connection(), id, &request).await?;
        let detail = json!({ "before": before, "after": cancelled });
        change.done(&id.to_string(), Some(reason), detail).await?;
        Ok(cancelled)
    }

    /// Removes a dead or waiting job for good.
    pub async fn delete_job(&self, id: JobId, reason: &str) -> Result<(), Error> {
        self.demand(Deed::JobDelete)?;
        let job = self.job(id).await?;
        let mut change = self.begin(Deed::JobDelete).await?;
        admin::delete(change.connection(), id).await?;
        let detail = json!({
            "before": {
                "state": job.state, "kind": job.kind, "lane": job.lane, "last_error": job.last_error,
            },
        });
        change.done(&id.to_string(), Some(reason), detail).await
    }

    async fn job(&self, id: JobId) -> Result<JobView, Error> {
        let job = self.queue.get(id).await?;
        Ok(job.ok_or(queue::Error::NoSuchJob { id })?)
    }

    async fn state_of(&self, id: JobId) -> Result<JobState, Error> {
        Ok(self.job(id).await?.state)
    }
}

/// What is to be said of a job that does not wait.
pub fn told(job: &JobView, now: DateTime<Utc>) -> Option<Phrase> {
    let ran = job
        .started_at
        .zip(job.finished_at)
        .map(|(from, to)| took(to - from));
    match job.state {
        JobState::Running => {
            let since = took(job.started_at.map(|at| now - at).unwrap_or_default());
            Some(say!("It has run for {since}.", since))
        }
        JobState::Completed => Some(match ran {
            Some(ran) => say!("It ended well; its last attempt took {ran}.", ran),
            None => say!("It ended well."),
        }),
        JobState::Cancelled => Some(say!("It was given up on purpose.")),
        JobState::Dead => Some(say!(
            "It used all its attempts, and stays until somebody retries or deletes it."
        )),
        JobState::Scheduled | JobState::Available | JobState::Retryable => None,
    }
}

/// What is to be told first of a job in a list, and its time: it runs, is due, began or ended then.
pub fn what_when(job: &JobSummary) -> (&'static str, DateTime<Utc>) {
    match job.state {
        JobState::Scheduled | JobState::Retryable => (mark!("runs"), job.run_at),
        JobState::Available => (mark!("due"), job.run_at),
        JobState::Running => (mark!("began"), job.started_at.unwrap_or(job.run_at)),
        JobState::Completed | JobState::Cancelled | JobState::Dead => {
            (mark!("ended"), job.finished_at.unwrap_or(job.run_at))
        }
    }
}
