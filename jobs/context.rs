//! All that a job may touch.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_sender::EventSender;
use merge_client::{AccountToken, Category, MergeClient};
use queue::{Attempt, FencedTx};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use store::{AccountId, Keyring, linked_accounts};
use tokio::time::Instant;

use crate::breaker::Breakers;
use crate::check_key;
use crate::error::JobError;
use crate::selection::Selection;

/// What every job is given.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// For reading. What a job writes goes through its attempt's fenced transaction.
    pub pool: PgPool,
    /// Merge's API.
    pub merge: MergeClient,
    /// The keys that secrets are sealed with.
    pub keyring: Arc<Keyring>,
    /// For pausing; jobs are enqueued through the attempt's transaction.
    pub queue: queue::Client,
    /// Which lanes are left alone for a while.
    pub breakers: Breakers,
    /// Sends events to endpoints.
    pub sender: EventSender,
    /// An endpoint that fails for so long is disabled; default 5 days.
    pub give_up_after: Duration,
    /// How eagerly to sync.
    pub settings: SyncSettings,
}

/// How many connections an organization, or a person of it, may have in a category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// As many as are linked, each under a name of its own at Merge.
    #[default]
    Several,
    /// One, under the same name for good. Linking is refused while it is there.
    One,
}

/// How eagerly to sync, and how long to keep things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSettings {
    /// Which models are synced; default all.
    pub selection: Selection,
    /// How many connections there may be; default several.
    pub connections: Connections,
    /// How far a window reaches back before the watermark; default 120 s. At least 5 s, or rows are lost that
    /// Merge stamps before a finish and shows after it.
    pub overlap: Duration,
    /// Records a page; default 100, which is Merge's maximum.
    pub page_size: u16,
    /// Between polls until the initial sync is complete; default 10 minutes.
    pub poll_initial: Duration,
    /// Between polls of an account that Merge syncs more often than hourly; default 10 minutes.
    pub poll_fast: Duration,
    /// Between polls of every other account; default 45 minutes. Never more than a day, whatever is set.
    pub poll_slow: Duration,
    /// Between polls of an account that Merge refuses; default 1 hour.
    pub poll_refused: Duration,
    /// How long no window of a model may end before its tail is swept; default 20 hours.
    pub sweep_interval: Duration,
    /// Between looks at an account's own status at Merge; default 6 hours.
    pub check_interval: Duration,
    /// How long a fetch goes on before it lets others of its lane have a turn; default 30 s.
    pub turn: Duration,
    /// Whether a first sync that Merge finished only in part is good enough to be loaded; default no.
    pub accept_partial_first_sync: bool,
    /// Whether the records that webhooks bring are stored, by the rules of a fetch; default yes. If not, they lead to a
    /// poll.
    pub store_webhook_records: bool,
    /// How long a sealed link token waits for the request that asked for it; default 1 minute.
    pub link_token_lifetime: Duration,
    /// How long ended jobs and their attempts are shown; default 14 days.
    pub keep_history: Duration,
    /// How long webhook deliveries are kept, by the day; default 30 days.
    pub keep_deliveries: Duration,
    /// How long events can be read; default 30 days.
    pub keep_events: Duration,
    /// How long idempotency keys are remembered; default 24 hours.
    pub keep_idempotency_keys: Duration,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            connections: Connections::default(),
            overlap: Duration::from_mins(2),
            page_size: 100,
            poll_initial: Duration::from_mins(10),
            poll_fast: Duration::from_mins(10),
            poll_slow: Duration::from_mins(45),
            poll_refused: Duration::from_hours(1),
            sweep_interval: Duration::from_hours(20),
            check_interval: Duration::from_hours(6),
            turn: Duration::from_secs(30),
            accept_partial_first_sync: false,
            store_webhook_records: true,
            link_token_lifetime: Duration::from_mins(1),
            keep_history: Duration::from_hours(14 * 24),
            keep_deliveries: Duration::from_hours(30 * 24),
            keep_events: Duration::from_hours(30 * 24),
            keep_idempotency_keys: Duration::from_hours(24),
        }
    }
}

/// An account that can be read at Merge.
#[derive(Debug)]
pub(crate) struct OpenAccount {
    /// Ours.
    pub(crate) id: AccountId,
    /// Whose it is.
    pub(crate) organization_id: String,
    /// Part of every address at Merge.
    pub(crate) category: Category,
    /// The secret to read it with.
    pub(crate) token: AccountToken,
    /// Its last link or relink.
    pub(crate) linked_at: Option<DateTime<Utc>>,
    /// Whether its initial sync is complete, which is never taken back.
    pub(crate) is_initially_synced: bool,
}

impl OpenAccount {
    /// Commits the last effects of a job and completes it; and with it the account's initial sync, if nothing is
    /// missing any more.
    ///
    /// As long as that sync is under way, completing is a transaction of its own, after that of the effects. So of
    /// several jobs that end at once, whichever commits last sees what all of them did, and none waits for another.
    pub(crate) async fn complete(
        &self,
        attempt: &mut Attempt,
        mut tx: FencedTx,
        mut result: Value,
    ) -> Result<(), JobError> {
        let mut is_completed = false;
        if !self.is_initially_synced {
            tx.commit().await?;
            tx = attempt.begin().await?;
            is_completed = linked_accounts::complete_initial_sync(&mut tx, self.id).await?;
        }
        result["initial_sync_completed"] = is_completed.into();
        Ok(attempt.complete(tx, result).await?)
    }
}

impl JobContext {
    /// Opens an account to read it at Merge.
    ///
    /// # Errors
    /// Cancels as `account_not_found` when it is gone, not linked yet, or being deleted.
    pub(crate) async fn open_account(&self, id: AccountId) -> Result<OpenAccount, JobError> {
        let mut conn = self.pool.acquire().await?;
        let access = linked_accounts::access(&mut conn, &self.keyring, id)
            .await?
            .filter(|access| access.status.is_readable())
            .ok_or_else(JobError::account_not_found)?;
        let token = access.token.ok_or_else(JobError::account_not_found)?;
        Ok(OpenAccount {
            id,
            organization_id: access.organization_id,
            category: parse_category(&access.category)?,
            token: AccountToken::new(token.expose_secret().to_owned()),
            linked_at: access.linked_at,
            is_initially_synced: access.is_initially_synced,
        })
    }

    /// Makes one request to Merge, within the account's rate and the fleet's error budget, and only while the lane's
    /// requests do not keep failing.
    ///
    /// # Errors
    /// Snoozes when it would have to wait for long; nothing was asked then.
    pub(crate) async fn ask<T>(
        &self,
        attempt: &Attempt,
        request: impl Future<Output = Result<T, merge_client::Error>>,
    ) -> Result<Result<T, merge_client::Error>, JobError> {
        let lane = attempt.lane();
        self.breakers
            .admit(lane, Instant::now())
            .map_err(|after| JobError::Snooze {
                after,
                reason: "calls for this account keep failing".to_owned(),
            })?;
        let permit = attempt.throttle().await?;
        let answer = request.await;
        if answer.is_ok() {
            permit.succeeded();
        }
        match &answer {
            Err(error) if error.is_fault() => self.breakers.failed(lane, Instant::now()),
            Ok(_) | Err(_) => self.breakers.succeeded(lane),
        }
        Ok(answer)
    }

    /// Finds out who is to blame that Merge refuses us for an account, by asking for what needs our own key only.
    ///
    /// # Errors
    /// Snoozes when it is the key: then nothing is synced until Merge takes it again (see [`crate::check_key`]).
    pub(crate) async fn blame(
        &self,
        attempt: &Attempt,
        error: &merge_client::Error,
    ) -> Result<(), JobError> {
        if !matches!(error, merge_client::Error::Unauthorized { .. }) {
            return Ok(());
        }
        match self.ask(attempt, self.merge.check_key()).await? {
            Ok(()) => Ok(()),
            Err(merge_client::Error::Unauthorized { .. }) => {
                check_key::stop_syncing(self).await?;
                Err(JobError::Snooze {
                    after: Duration::from_secs(1),
                    reason: "Merge refuses our API key".to_owned(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Notes a request to Merge with the attempt that makes it.
pub fn note_exchange(exchange: &merge_client::Exchange<'_>) {
    queue::notes::request(
        exchange.method,
        exchange.path,
        exchange.status,
        exchange.took,
        exchange.request_id,
    );
}

/// A category by its stored name.
pub(crate) fn parse_category(name: &str) -> Result<Category, JobError> {
    Category::parse(name)
        .ok_or_else(|| JobError::cancel("unknown_category", format!("unknown category `{name}`")))
}
