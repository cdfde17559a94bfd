//! What a webhook leads to, once its account is found and held.

use std::ops::Range;

use merge_client::SyncStatus;
use merge_client::webhook::{AccountRef, Event, EventKind, ModelMark, ModelSyncStatus};
use merge_client::{AccountToken, Category, Model, Record, catalogue};
use queue::{FencedTx, Job, NewJob};
use secrecy::SecretString;
use store::linked_accounts::{self, AccountStatus, LinkOutcome, Linked, LinkedAccount};
use store::model_records::NewRecord;
use store::model_syncs::{self, ModelSync, Observation};
use store::webhook_deliveries::{Judgement, Twin, Verdict};
use store::{AccountId, DeliveryId, fetch_windows};
use uuid::Uuid;

use super::finding::Accounts;
use crate::check_health::CheckHealth;
use crate::fetch_model_window::FetchModelWindow;
use crate::poll_sync_status::PollSyncStatus;
use crate::readiness::Told;
use crate::{JobContext, JobError};

/// A verdict and its grounds.
pub(super) struct Decision {
    verdict: Verdict,
    detail: &'static str,
    duplicate_of: Option<DeliveryId>,
    /// Whom it is about.
    pub(super) account_id: Option<AccountId>,
    /// The jobs it caused, by their places in [`Actor::jobs`].
    pub(super) jobs: Range<usize>,
}

impl Decision {
    fn new(verdict: Verdict, detail: &'static str) -> Self {
        Self {
            verdict,
            detail,
            duplicate_of: None,
            account_id: None,
            jobs: 0..0,
        }
    }

    fn processed(detail: &'static str) -> Self {
        Self::new(Verdict::Processed, detail)
    }

    fn ignored(detail: &'static str) -> Self {
        Self::new(Verdict::Ignored, detail)
    }

    pub(super) fn unparseable(detail: &'static str) -> Self {
        Self::new(Verdict::Unparseable, detail)
    }

    pub(super) fn duplicate(twin: Twin) -> Self {
        Self {
            duplicate_of: Some(twin.id),
            account_id: twin.account_id,
            ..Self::new(Verdict::Duplicate, "the same came before")
        }
    }

    /// As it is written down, with the event and the jobs.
    pub(super) fn judgement(self, event: Option<&Event>, job_ids: Vec<Uuid>) -> Judgement<'_> {
        Judgement {
            verdict: self.verdict,
            detail: Some(self.detail),
            duplicate_of: self.duplicate_of,
            event: event
                .map(|event| event.name.as_str())
                .filter(|name| !name.is_empty()),
            merge_account_id: event.and_then(|event| event.account.id.as_deref()),
            account_id: self.account_id,
            job_ids,
        }
    }
}

/// Acts on one event after another, in the transaction that also writes their verdicts.
pub(super) struct Actor<'a> {
    tx: &'a mut FencedTx,
    context: &'a JobContext,
    accounts: Accounts,
    /// To be enqueued in the end, all in one statement.
    pub(super) jobs: Vec<NewJob>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(tx: &'a mut FencedTx, context: &'a JobContext, accounts: Accounts) -> Self {
        Self {
            tx,
            context,
            accounts,
            jobs: Vec::new(),
        }
    }

    /// Acts on the event at this place of the batch.
    pub(super) async fn act(&mut self, index: usize, event: &Event) -> Result<Decision, JobError> {
        if matches!(event.kind, EventKind::TestPing) {
            return Ok(Decision::ignored("a test"));
        }
        let Some(account) = self.accounts.of(index).cloned() else {
            return Ok(Decision::new(
                Verdict::UnknownAccount,
                "no such account here",
            ));
        };
        let first_job = self.jobs.len();
        let decision = self.act_on(event, &account).await?;
        Ok(Decision {
            account_id: Some(account.id),
            jobs: first_job..self.jobs.len(),
            ..decision
        })
    }

    async fn act_on(
        &mut self,
        event: &Event,
        account: &LinkedAccount,
    ) -> Result<Decision, JobError> {
        if account.status == AccountStatus::Deleting {
            return Ok(Decision::ignored("the account is being deleted"));
        }
        if let EventKind::Linked {
            account_token: Some(token),
            ..
        } = &event.kind
        {
            return self.link(&event.account, token, account).await;
        }
        if matches!(event.kind, EventKind::Other) {
            return Ok(Decision::ignored("an event that is not used"));
        }
        if account.status == AccountStatus::Pending {
            return Ok(Decision::new(
                Verdict::Parked,
                "until the account is linked",
            ));
        }
        match &event.kind {
            EventKind::Linked { .. } => self.poll(account, "polled: it brings no token"),
            EventKind::AccountChanged => self.check(event, account),
            EventKind::SyncCompleted { models, .. } if models.is_empty() => {
                self.poll(account, "polled: it names no model")
            }
            EventKind::SyncCompleted {
                is_initial_sync,
                models,
            } => {
                let told = models
                    .iter()
                    .filter_map(|mark| mark_told(mark, *is_initial_sync))
                    .collect();
                self.raise(account, told).await
            }
            EventKind::ModelSynced {
                model_event,
                status,
            } => self.model_synced(account, model_event, status).await,
            EventKind::RecordChanged {
                model_event,
                record,
            } => {
                self.record_changed(account, model_event, record.as_deref())
                    .await
            }
            EventKind::TestPing | EventKind::Other => {
                Ok(Decision::ignored("an event that is not used"))
            }
        }
    }

    async fn link(
        &mut self,
        told: &AccountRef,
        token: &AccountToken,
        account: &LinkedAccount,
    ) -> Result<Decision, JobError> {
        let account_token = SecretString::from(token.expose());
        let linked = Linked {
            merge_account_id: told.id.as_deref(),
            merge_status: told.status.as_deref(),
            integration_name: told.integration.as_deref(),
            integration_slug: told.integration_slug.as_deref(),
            account_token: &account_token,
        };
        let keyring = &self.context.keyring;
        match linked_accounts::link(self.tx, keyring, account.id, &linked).await? {
            LinkOutcome::Linked => {
                self.accounts.refresh(self.tx, account.id).await?;
                let drains = super::unpark(self.tx, account.id, told.id.as_deref()).await?;
                self.jobs.extend(drains);
                self.poll(account, "linked")
            }
            LinkOutcome::Gone => Ok(Decision::ignored("the account is being deleted")),
            LinkOutcome::TakenBy(_) => Ok(Decision::ignored("another account has this id")),
        }
    }

    /// Has Merge asked how the account stands.
    fn poll(
        &mut self,
        account: &LinkedAccount,
        detail: &'static str,
    ) -> Result<Decision, JobError> {
        self.enqueue(
            account,
            &PollSyncStatus {
                account_id: account.id,
            },
        )?;
        Ok(Decision::processed(detail))
    }

    /// Has Merge asked how the account is, which a webhook alone does not prove.
    fn check(&mut self, event: &Event, account: &LinkedAccount) -> Result<Decision, JobError> {
        self.enqueue(
            account,
            &CheckHealth {
                account_id: account.id,
                is_told_deleted: event.name == "LinkedAccount.deleted",
            },
        )?;
        Ok(Decision::processed("its health is checked"))
    }

    fn enqueue(&mut self, account: &LinkedAccount, job: &impl Job) -> Result<(), JobError> {
        let job = NewJob::new(job)?.organization(&account.organization_id);
        self.jobs.push(job);
        Ok(())
    }

    async fn model_synced(
        &mut self,
        account: &LinkedAccount,
        model_event: &str,
        status: &ModelSyncStatus,
    ) -> Result<Decision, JobError> {
        match status {
            ModelSyncStatus::Text(word) if matches!(word.as_str(), "FAILED" | "DISABLED") => {
                Ok(Decision::processed("noted: nothing to read"))
            }
            ModelSyncStatus::Text(_) => self.poll(account, "polled: it tells no time"),
            ModelSyncStatus::Object(status) => {
                let model = catalogue::find(&status.model_id)
                    .or_else(|| model_of_event(account, model_event));
                let Some(model) = model else {
                    return Ok(Decision::ignored("a model that is not known"));
                };
                let told = ModelTold {
                    model,
                    told: Told::by_status(status),
                    status: Some(status),
                };
                self.raise(account, vec![told]).await
            }
        }
    }

    /// Stores a record by the rules of a fetch. Where that cannot be, or is not wanted, asks Merge how far its sync is.
    async fn record_changed(
        &mut self,
        account: &LinkedAccount,
        model_event: &str,
        record: Option<&Record>,
    ) -> Result<Decision, JobError> {
        let Some(model) = model_of_event(account, model_event) else {
            return Ok(Decision::ignored("a model that is not known"));
        };
        if !self.context.settings.selection.has(model.model_id) {
            return Ok(Decision::ignored("a model that is not selected"));
        }
        let wanted = record
            .filter(|_| self.context.settings.store_webhook_records && model.has_modified_filter);
        let Some((record, key)) = wanted.and_then(|record| Some((record, record.key()?))) else {
            return self.poll(account, "polled: a record changed");
        };
        let record = NewRecord {
            merge_id: &key,
            remote_id: record.remote_id.as_deref(),
            data: record.data.get(),
            modified_at: record.modified_at,
            created_at: record.created_at,
            is_deleted: record.is_deleted,
        };
        let stored =
            fetch_windows::save_news(self.tx, account.id, model.model_id, &[record]).await?;
        Ok(match stored {
            Some(counts) if counts.changed() > 0 => Decision::processed("a record stored"),
            Some(_) => Decision::processed("nothing new"),
            None => Decision::ignored("the model's first load will bring it"),
        })
    }

    /// Raises the marks of what is ready, and enqueues what became due.
    ///
    /// Until the initial sync is complete the account is polled, too: only a poll tells which models there are.
    async fn raise(
        &mut self,
        account: &LinkedAccount,
        mut models: Vec<ModelTold<'_>>,
    ) -> Result<Decision, JobError> {
        let told = models.len();
        models.retain(|told| self.context.settings.selection.has(told.model.model_id));
        if models.is_empty() && told > 0 {
            return Ok(Decision::ignored("models that are not selected"));
        }
        models.sort_by_key(|told| told.model.model_id);
        models.dedup_by_key(|told| told.model.model_id);
        let stored = model_syncs::list(self.tx, account.id).await?;
        let accept_partial = self.context.settings.accept_partial_first_sync;
        let observations: Vec<Observation> = models
            .iter()
            .map(|told| {
                let before = stored
                    .iter()
                    .find(|model| model.model_id == told.model.model_id);
                told.observation(before, accept_partial)
            })
            .collect();
        let due = model_syncs::observe(self.tx, account.id, &observations).await?;
        let fetches = FetchModelWindow::for_models(account.id, &account.organization_id, &due)?;
        self.jobs.extend(fetches);
        if account.initial_sync_completed_at.is_none() {
            self.poll(account, "")?;
        }
        Ok(if due.is_empty() {
            Decision::processed("nothing new")
        } else {
            Decision::processed("marks raised")
        })
    }
}

/// One model as an event tells it.
struct ModelTold<'a> {
    model: &'static Model,
    told: Told<'a>,
    /// The whole status, when the event has it.
    status: Option<&'a SyncStatus>,
}

impl ModelTold<'_> {
    /// What to store. The mark in any case, since it only grows; the words only if they are not older than what
    /// is known, since webhooks arrive in any order.
    fn observation(&self, before: Option<&ModelSync>, accept_partial: bool) -> Observation {
        let is_loaded = before.is_some_and(|before| before.fetched_through.is_some());
        let marked = Observation {
            model_id: self.model.model_id.to_owned(),
            ready_through: self.told.ready_through(is_loaded, accept_partial),
            ..Observation::default()
        };
        if self.told.finished < before.and_then(|before| before.available_through) {
            return marked;
        }
        let status = self.status;
        Observation {
            status: status
                .map(|status| status.status.clone())
                .filter(|word| !word.is_empty()),
            last_sync_result: self.told.result.map(str::to_owned),
            is_initial_sync: self.told.is_initial_sync,
            last_sync_start: status.and_then(|status| status.last_sync_start),
            next_sync_start: status.and_then(|status| status.next_sync_start),
            ..marked
        }
    }
}

fn mark_told(mark: &ModelMark, is_initial_sync: Option<bool>) -> Option<ModelTold<'_>> {
    let model = catalogue::find(&mark.model_id)?;
    Some(ModelTold {
        model,
        told: Told::by_mark(mark, is_initial_sync),
        status: None,
    })
}

fn model_of_event(account: &LinkedAccount, model_event: &str) -> Option<&'static Model> {
    catalogue::find_event(Category::parse(&account.category)?, model_event)
}
