//! One action on all jobs of a filter: prepared, confirmed, done by a job, stopped.

use chrono::{DateTime, Utc};
use jobs::run_bulk_action::RunBulkAction;
use phrases::{Phrase, mark, plural, say};
use queue::NewJob;
use queue::admin::bulk_actions::{self, BulkAction, BulkId, State};
use queue::admin::{Action, Bulk, Filter};
use serde_json::{Value, json};

use super::words::took;
use super::{Deed, Error, Ops};

/// Above this many jobs the count has to be typed.
pub const TYPED_ABOVE: i64 = 1_000;

/// The deed that an action is.
pub fn deed_of(action: Action) -> Deed {
    match action {
        Action::Retry => Deed::BulkRetry,
        Action::RetryNow => Deed::BulkRetryNow,
        Action::Cancel => Deed::BulkCancel,
        Action::Delete => Deed::BulkDelete,
    }
}

/// What a filter asks for, without what it does not.
pub fn shown(filter: &Filter) -> Value {
    let Ok(Value::Object(mut filter)) = serde_json::to_value(filter) else {
        return Value::Null;
    };
    filter.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(range) => range.values().any(|bound| !bound.is_null()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    });
    Value::Object(filter)
}

impl Ops {
    /// Counts the jobs that an action would be done to, and keeps them as they stand, to be confirmed.
    ///
    /// Changes nothing, so it is no deed; but who may not do the action need not ask.
    pub async fn prepare_bulk(
        &self,
        filter: Filter,
        action: Action,
        reason: &str,
    ) -> Result<BulkId, Error> {
        let deed = deed_of(action);
        self.demand(deed)?;
        let request = self.request(deed, Some(reason));
        let confirmation = Bulk::prepare(&self.queue, filter, action, request).await?;
        let mut conn = self.pool.acquire().await?;
        Ok(bulk_actions::keep(&mut conn, &confirmation).await?)
    }

    /// Starts what was prepared, as it was counted then. `typed` is the count that somebody typed, if they had to.
    pub async fn start_bulk(&self, id: BulkId, typed: Option<i64>) -> Result<(), Error> {
        let prepared = self.bulk(id).await?;
        let deed = deed_of(prepared.bulk.action());
        let mut change = self.begin(deed).await?;
        if prepared.jobs > TYPED_ABOVE && typed != Some(prepared.jobs) {
            let jobs = prepared.jobs;
            return Err(Error::Refused(say!(
                "this touches {jobs} jobs: type {jobs} to confirm that you mean it",
                jobs = jobs.to_string()
            )));
        }
        let job = NewJob::new(&RunBulkAction { bulk_action_id: id })?;
        let job_id = queue::enqueue(change.connection(), &job).await?.id;
        if !bulk_actions::start(change.connection(), id, job_id).await? {
            return Err(Error::Refused(say!(
                "this action was started already, or counted more than an hour ago: prepare it anew"
            )));
        }
        let detail = json!({
            "filter": shown(prepared.bulk.filter()),
            "bound_to": prepared.bulk.bound_to(),
            "count": prepared.jobs,
            "job_id": job_id,
        });
        let reason = &prepared.bulk.request().reason;
        change.done(&id.to_string(), Some(reason), detail).await
    }

    /// Asks a running action to end after its batch.
    pub async fn stop_bulk(&self, id: BulkId) -> Result<(), Error> {
        self.demand(Deed::BulkStop)?;
        let running = self.bulk(id).await?;
        let mut change = self.begin(Deed::BulkStop).await?;
        if !bulk_actions::stop(change.connection(), id, &self.actor.name).await? {
            return Err(Error::Refused(say!("this action does not run")));
        }
        let detail = json!({ "done": running.progress.done, "count": running.jobs });
        change.done(&id.to_string(), None, detail).await
    }

    /// Reads an action.
    pub async fn bulk(&self, id: BulkId) -> Result<BulkAction, Error> {
        let mut conn = self.pool.acquire().await?;
        let found = bulk_actions::find(&mut conn, id).await?;
        found.ok_or(Error::Missing(mark!("bulk action")))
    }

    /// The actions that were confirmed, newest first.
    pub async fn bulks(&self, limit: u16) -> Result<Vec<BulkAction>, Error> {
        let mut conn = self.pool.acquire().await?;
        Ok(bulk_actions::list(&mut conn, limit).await?)
    }
}

/// Whether somebody has to wait for it.
pub fn is_under_way(action: &BulkAction) -> bool {
    action.state == State::Running
}

/// How far it is, in one sentence.
pub fn sentence(bulk: &BulkAction, now: DateTime<Utc>) -> Phrase {
    let ran = bulk
        .started_at
        .map(|at| bulk.ended_at.unwrap_or(now) - at)
        .unwrap_or_default();
    let ran = took(ran);
    match (bulk.state, &bulk.stopped_by) {
        (State::Prepared, _) => plural!(
            "{jobs} job match just now, and only those are touched, whatever comes until you confirm. Nothing was done yet.",
            "{jobs} jobs match just now, and only those are touched, whatever comes until you confirm. Nothing was done yet.",
            jobs = bulk.jobs.unsigned_abs()
        ),
        (State::Running, None) => say!("It has run for {since}.", since = ran),
        (State::Running, Some(by)) => {
            say!("{by} asked it to stop; it ends after its batch.", by)
        }
        (State::Stopped, Some(by)) => {
            say!(
                "{by} stopped it after {ran}. What was done stays done.",
                by,
                ran
            )
        }
        (State::Stopped, None) => {
            say!(
                "Somebody stopped it after {ran}. What was done stays done.",
                ran
            )
        }
        (State::Done, _) => say!("It is done; it took {ran}.", ran),
    }
}
