//! What a webhook leads to, once its account is found and locked.

use merge_client::SyncStatus;
use merge_client::webhook::{AccountRef, Event, EventKind, ModelMark, ModelSyncStatus};
use merge_client::{AccountToken, Category, Model, catalogue};
use queue::{FencedTx, NewJob};
use secrecy::SecretString;
use store::linked_accounts::{self, AccountStatus, LinkOutcome, Linked, LinkedAccount};
use store::model_syncs::{self, ModelSync, Observation};

use super::Decision;
use crate::fetch_model_window::FetchModelWindow;
use crate::poll_sync_status::PollSyncStatus;
use crate::readiness::Told;
use crate::{JobContext, JobError};

/// Acts on an event, in the transaction that also writes its verdict.
pub(super) async fn act(
    tx: &mut FencedTx,
    context: &JobContext,
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
        return link(tx, context, &event.account, token, account).await;
    }
    if account.status == AccountStatus::Pending {
        return Ok(Decision::ignored(
            "not linked yet: its first poll will tell as much",
        ));
    }
    match &event.kind {
        EventKind::Linked { .. } => {
            poll(tx, account).await?;
            Ok(Decision::processed("polled: it brings no token"))
        }
        EventKind::SyncCompleted { models, .. } if models.is_empty() => {
            poll(tx, account).await?;
            Ok(Decision::processed("polled: it names no model"))
        }
        EventKind::SyncCompleted {
            is_initial_sync,
            models,
        } => {
            let told = models
                .iter()
                .filter_map(|mark| mark_told(mark, *is_initial_sync))
                .collect();
            raise(tx, context, account, told).await
        }
        EventKind::ModelSynced {
            model_event,
            status,
        } => model_synced(tx, context, account, model_event, status).await,
        EventKind::TestPing | EventKind::Other => {
            Ok(Decision::ignored("an event that is not used"))
        }
    }
}

async fn link(
    tx: &mut FencedTx,
    context: &JobContext,
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
    match linked_accounts::link(tx, &context.keyring, account.id, &linked).await? {
        LinkOutcome::Linked => {
            poll(tx, account).await?;
            Ok(Decision::processed("linked"))
        }
        LinkOutcome::Gone => Ok(Decision::ignored("the account is being deleted")),
        LinkOutcome::TakenBy(_) => Ok(Decision::ignored("another account has this id")),
    }
}

async fn poll(tx: &mut FencedTx, account: &LinkedAccount) -> Result<(), JobError> {
    let poll = NewJob::new(&PollSyncStatus {
        account_id: account.id,
    })?
    .organization(&account.organization_id);
    queue::enqueue(tx, &poll).await?;
    Ok(())
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

async fn model_synced(
    tx: &mut FencedTx,
    context: &JobContext,
    account: &LinkedAccount,
    model_event: &str,
    status: &ModelSyncStatus,
) -> Result<Decision, JobError> {
    match status {
        ModelSyncStatus::Text(word) if matches!(word.as_str(), "FAILED" | "DISABLED") => {
            Ok(Decision::processed("noted: nothing to read"))
        }
        ModelSyncStatus::Text(_) => {
            poll(tx, account).await?;
            Ok(Decision::processed("polled: it tells no time"))
        }
        ModelSyncStatus::Object(status) => {
            let by_event = |category: Category| catalogue::find_event(category, model_event);
            let model = catalogue::find(&status.model_id)
                .or_else(|| Category::parse(&account.category).and_then(by_event));
            let Some(model) = model else {
                return Ok(Decision::ignored("a model that is not known"));
            };
            let told = ModelTold {
                model,
                told: Told::by_status(status),
                status: Some(status),
            };
            raise(tx, context, account, vec![told]).await
        }
    }
}

/// Raises the marks of what is ready, and enqueues what became due.
///
/// Until the initial sync is complete the account is polled, too: only a poll tells which models there are.
async fn raise(
    tx: &mut FencedTx,
    context: &JobContext,
    account: &LinkedAccount,
    mut models: Vec<ModelTold<'_>>,
) -> Result<Decision, JobError> {
    models.sort_by_key(|told| told.model.model_id);
    models.dedup_by_key(|told| told.model.model_id);
    let stored = model_syncs::list(tx, account.id).await?;
    let accept_partial = context.settings.accept_partial_first_sync;
    let observations: Vec<Observation> = models
        .iter()
        .map(|told| {
            let before = stored
                .iter()
                .find(|model| model.model_id == told.model.model_id);
            told.observation(before, accept_partial)
        })
        .collect();
    let due = model_syncs::observe(tx, account.id, &observations).await?;
    let fetches = FetchModelWindow::for_models(account.id, &account.organization_id, &due)?;
    queue::enqueue_many(tx, &fetches).await?;
    if account.initial_sync_completed_at.is_none() {
        poll(tx, account).await?;
    }
    Ok(if due.is_empty() {
        Decision::processed("nothing new")
    } else {
        Decision::processed("marks raised")
    })
}
