//! Reads how far Merge is with each model of an account, raises marks, and enqueues what became due.
//!
//! A poll tells everything that webhooks tell, and what they failed to tell: it is the safety net, and the first thing
//! that happens to a linked account. All it does is raise marks by `greatest()` and enqueue unique jobs, so it may
//! run twice, late, or beside a webhook. It also decides when the account is polled next, has the tail of models swept
//! that no finish covered for a day, and completes the initial sync when the last model that was missing turns out to be
//! disabled.
//!
//! When Merge refuses the account as a whole, it is marked as in error, after several times as one to be linked again,
//! and polled slowly and ever more slowly; the first poll that works again clears that.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use merge_client::{SyncStatus, catalogue};
use queue::{Attempt, FencedTx, Job, Lane, Queue};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, AccountStatus};
use store::model_syncs::{self, Observation};

use crate::fetch_model_window::FetchModelWindow;
use crate::readiness::Told;
use crate::selection::NOT_SELECTED;
use crate::{JobContext, JobError, SyncSettings};

/// Merge pauses accounts that nobody asks about; so, however the intervals are set, each is asked about daily.
const LONGEST_INTERVAL: Duration = Duration::from_hours(24);

/// Which account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PollSyncStatus {
    /// Ours.
    pub account_id: AccountId,
}

impl Job for PollSyncStatus {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "poll_sync_status";
    const QUEUE: Queue = Queue::SYNC;
    const PRIORITY: i16 = 50;
    const TIMEOUT: Duration = Duration::from_mins(3);

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    fn unique_key(&self) -> Option<String> {
        Some(self.account_id.to_string())
    }

    fn limit_key(&self) -> Option<String> {
        Some("poll_sync_status".to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let account = context.open_account(self.account_id).await?;

        let merge = context.merge.account(account.category, &account.token);
        let statuses = match context.ask(attempt, merge.sync_status()).await? {
            Ok(statuses) => statuses,
            Err(error) => return Err(self.note_refusal(context, attempt, error).await?),
        };

        let mut tx = attempt.begin().await?;
        let observed = observe(&mut tx, self.account_id, &statuses, &context.settings).await?;
        let interval = context.settings.sweep_interval;
        let sweeps = model_syncs::want_due_sweeps(&mut tx, self.account_id, interval).await?;
        let due = [observed.due, sweeps].concat();
        let jobs = FetchModelWindow::for_models(self.account_id, &account.organization_id, &due)?;
        queue::enqueue_many(&mut tx, &jobs).await?;
        let next = next_poll(&context.settings, observed.is_initially_synced, &statuses);
        linked_accounts::record_poll(&mut tx, self.account_id, with_jitter(next)).await?;
        let result = json!({ "models": statuses.len(), "due": due });
        account.complete(attempt, tx, result).await
    }
}

impl PollSyncStatus {
    /// Marks an account that Merge refuses, and passes the error on; other errors are none of the account's.
    async fn note_refusal(
        &self,
        context: &JobContext,
        attempt: &Attempt,
        error: merge_client::Error,
    ) -> Result<JobError, JobError> {
        let reason = match &error {
            merge_client::Error::Unauthorized { .. } => "Merge refuses the credentials",
            merge_client::Error::Forbidden { .. } => "Merge forbids reading the account",
            merge_client::Error::NotFound { .. } => "Merge does not know the account",
            _ => return Ok(error.into()),
        };
        context.blame(attempt, &error).await?;
        let mut tx = attempt.begin().await?;
        if matches!(error, merge_client::Error::NotFound { .. }) {
            let status = AccountStatus::Error;
            linked_accounts::set_status(&mut tx, self.account_id, status, Some(reason)).await?;
        } else {
            linked_accounts::note_refusal(&mut tx, self.account_id, reason).await?;
        }
        let next = with_jitter(context.settings.poll_refused);
        linked_accounts::put_poll_off(&mut tx, self.account_id, next).await?;
        tx.commit().await?;
        Ok(error.into())
    }
}

/// What a poll found.
struct Observed {
    /// Models to be fetched.
    due: Vec<String>,
    /// Whether the initial sync was complete before this poll.
    is_initially_synced: bool,
}

/// Stores what Merge says about its models, and raises the marks of those that are ready.
async fn observe(
    tx: &mut FencedTx,
    account_id: AccountId,
    statuses: &[SyncStatus],
    settings: &SyncSettings,
) -> Result<Observed, JobError> {
    match linked_accounts::lock(tx, account_id).await? {
        None | Some(AccountStatus::Deleting | AccountStatus::Pending) => {
            return Err(JobError::account_not_found());
        }
        Some(AccountStatus::Active | AccountStatus::RelinkNeeded | AccountStatus::Error) => {}
    }
    let account = linked_accounts::find(tx, account_id, None).await?;
    let loaded: HashSet<String> = model_syncs::list(tx, account_id)
        .await?
        .into_iter()
        .filter(|model| model.fetched_through.is_some())
        .map(|model| model.model_id)
        .collect();
    let observations = observations(statuses, &loaded, settings);
    let due = model_syncs::observe(tx, account_id, &observations).await?;
    let is_initially_synced =
        account.is_some_and(|account| account.initial_sync_completed_at.is_some());
    Ok(Observed {
        due,
        is_initially_synced,
    })
}

/// One observation per model, under our spelling of its id. A model that we do not know is kept as it is called, and
/// marked as such: it is shown, but nothing waits for it. So is one that is not selected, whose marks do not count.
fn observations(
    statuses: &[SyncStatus],
    loaded: &HashSet<String>,
    settings: &SyncSettings,
) -> Vec<Observation> {
    let mut by_model = BTreeMap::new();
    for status in statuses {
        let known = catalogue::find(&status.model_id);
        let model_id = known.map_or(status.model_id.as_str(), |model| model.model_id);
        let is_loaded = loaded.contains(model_id);
        let refusal = match known {
            None => Some("unknown_model"),
            Some(_) if !settings.selection.has(model_id) => Some(NOT_SELECTED),
            Some(_) => None,
        };
        let ready_through =
            Told::by_status(status).ready_through(is_loaded, settings.accept_partial_first_sync);
        let observation = Observation {
            model_id: model_id.to_owned(),
            status: Some(status.status.clone()).filter(|word| !word.is_empty()),
            last_sync_result: status.last_sync_result.clone(),
            is_initial_sync: status.is_initial_sync,
            last_sync_start: status.last_sync_start,
            next_sync_start: status.next_sync_start,
            ready_through: ready_through.filter(|_| refusal != Some(NOT_SELECTED)),
            refusal: refusal.map(str::to_owned),
        };
        by_model.insert(model_id, observation);
    }
    by_model.into_values().collect()
}

/// When to ask again, by the account's own rhythm: the shortest time between two syncs of a model.
fn next_poll(
    settings: &SyncSettings,
    is_initially_synced: bool,
    statuses: &[SyncStatus],
) -> Duration {
    let rhythm = statuses
        .iter()
        .filter_map(|status| Some(status.next_sync_start? - status.last_sync_start?))
        .filter(|rhythm| *rhythm > TimeDelta::zero())
        .min();
    let interval = match rhythm {
        _ if !is_initially_synced => settings.poll_initial,
        Some(rhythm) if rhythm < TimeDelta::hours(1) => settings.poll_fast,
        Some(_) | None => settings.poll_slow,
    };
    interval.min(LONGEST_INTERVAL.mul_f64(0.8))
}

/// Spreads what would come together: a fifth less to a fifth more.
fn with_jitter(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests;
