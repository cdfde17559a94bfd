//! One linked account: who it is, its models, and where its syncs stand.

mod changes;
mod model;
mod plan;
mod syncs;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merge_client::catalogue::{Category, Model, models};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::model::ModelState;
pub use self::plan::PlanError;
pub(crate) use self::syncs::Rules;
use crate::clock::{Micros, to_text};
use crate::dice::Dice;
use crate::generator::Author;
use crate::integrations::Integration;
use crate::limits::RateWindow;
use crate::options::{AccountPlan, ModelIds, Outcome};
use crate::webhooks::Notice;

/// What does not change while an account exists, and behind a lock what does.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) category: Category,
    pub(crate) end_user_origin_id: String,
    pub(crate) integration: &'static Integration,
    pub(crate) is_production: bool,
    dice: Dice,
    /// Records after the first sync, by the model's place in its category.
    counts: Vec<u32>,
    state: Mutex<AccountState>,
}

#[derive(Debug)]
pub(crate) struct AccountState {
    pub(crate) token: String,
    pub(crate) tokens_made: u64,
    /// Merge's word, such as `COMPLETE` or `RELINK_NEEDED`.
    pub(crate) status: String,
    pub(crate) end_user_organization_name: String,
    pub(crate) end_user_email_address: String,
    pub(crate) completed_at: Micros,
    pub(crate) models: Vec<ModelState>,
    pub(crate) requests: RateWindow,
    pub(crate) syncs_started: u64,
    pub(crate) is_syncing: bool,
    /// When the last sync of the account began.
    pub(crate) sync_started_at: Option<Micros>,
    /// When the last sync of the account ended.
    pub(crate) synced_at: Option<Micros>,
    pub(crate) next_sync_start: Option<Micros>,
    /// Webhooks to send once the lock is gone.
    pub(crate) outbox: Vec<Notice>,
    /// When the sandbox's driver will look at this account next.
    pub(crate) agenda_entry: Option<Micros>,
}

/// What an account is made from.
#[derive(Debug)]
pub(crate) struct NewAccount<'a> {
    /// Its place in the random world.
    pub(crate) dice: Dice,
    pub(crate) category: Category,
    pub(crate) integration: &'static Integration,
    pub(crate) end_user_origin_id: String,
    pub(crate) end_user_organization_name: String,
    pub(crate) end_user_email_address: String,
    pub(crate) plan: &'a AccountPlan,
    pub(crate) model_ids: ModelIds,
}

impl Account {
    /// A new account whose first sync starts now.
    pub(crate) fn new(new: NewAccount<'_>, now: Micros) -> Result<Arc<Self>, PlanError> {
        let planned = plan::planned(new.category, new.plan)?;
        let mut counts = vec![0; models(new.category).len()];
        for model in &planned {
            counts[model.index] = model.records;
        }
        let state = AccountState {
            token: account_token(new.dice, 0),
            tokens_made: 1,
            status: "COMPLETE".to_owned(),
            end_user_organization_name: new.end_user_organization_name,
            end_user_email_address: new.end_user_email_address,
            completed_at: now,
            models: planned
                .iter()
                .map(|planned| ModelState::new(new.category, planned, new.model_ids))
                .collect(),
            requests: RateWindow::default(),
            syncs_started: 0,
            is_syncing: false,
            sync_started_at: None,
            synced_at: None,
            next_sync_start: Some(now),
            outbox: Vec::new(),
            agenda_entry: None,
        };
        Ok(Arc::new(Self {
            id: new.dice.named("account").uuid(),
            category: new.category,
            end_user_origin_id: new.end_user_origin_id,
            integration: new.integration,
            is_production: new.plan.is_production,
            dice: new.dice,
            counts,
            state: Mutex::new(state),
        }))
    }

    /// The state as it stands; most callers want it brought up to date by `World::visit`.
    pub(crate) fn lock(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new account token; the old one stops working.
    pub(crate) fn regenerate_token(&self, state: &mut AccountState) -> String {
        state.token = account_token(self.dice, state.tokens_made);
        state.tokens_made += 1;
        state.token.clone()
    }

    pub(crate) fn author(&self, model: &ModelState) -> Author<'_> {
        Author {
            account: self.dice,
            model_index: model.index,
            model: model.model,
            counts: &self.counts,
        }
    }

    /// The `linked_account` object of webhooks.
    pub(crate) fn webhook_json(&self, state: &AccountState) -> Value {
        json!({
            "id": self.id,
            "integration": self.integration.name,
            "integration_slug": self.integration.slug,
            "category": self.category.as_str(),
            "end_user_origin_id": self.end_user_origin_id,
            "end_user_organization_name": state.end_user_organization_name,
            "end_user_email_address": state.end_user_email_address,
            "status": state.status,
            "webhook_listener_url": self.listener_url(),
            "is_duplicate": self.is_duplicate(),
            "account_type": self.account_type(),
            "completed_at": to_text(state.completed_at),
        })
    }

    pub(crate) fn listener_url(&self) -> String {
        format!(
            "https://sandbox.invalid/api/integrations/webhook-listener/{}",
            self.dice.named("listener").token()
        )
    }

    pub(crate) fn account_type(&self) -> &'static str {
        if self.is_production {
            "PRODUCTION"
        } else {
            "TEST"
        }
    }

    pub(crate) fn is_duplicate(&self) -> Option<bool> {
        self.is_production.then_some(false)
    }
}

impl AccountState {
    pub(crate) fn model(&self, model: &Model) -> Option<&ModelState> {
        self.models
            .iter()
            .find(|state| state.model.model_id == model.model_id)
    }

    pub(crate) fn model_mut(&mut self, model: &Model) -> Option<&mut ModelState> {
        self.models
            .iter_mut()
            .find(|state| state.model.model_id == model.model_id)
    }

    /// Whether every model that syncs at all has ended its first sync.
    pub(crate) fn has_ended_first_sync(&self) -> bool {
        self.synced_at.is_some()
    }

    /// The objects of the sync-status list, in the catalogue's order.
    pub(crate) fn statuses(&self) -> Vec<Value> {
        self.models
            .iter()
            .map(|model| model.status_json(self.next_start_of(model)))
            .collect()
    }

    fn next_start_of(&self, model: &ModelState) -> Option<Micros> {
        self.next_sync_start.filter(|_| model.outcome.syncs())
    }
}

impl Outcome {
    /// Whether syncs of such a model are started at all.
    pub(crate) fn syncs(self) -> bool {
        !matches!(self, Self::Disabled | Self::Paused)
    }

    /// Merge's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::PartiallySynced => "PARTIALLY_SYNCED",
            Self::Failed => "FAILED",
            Self::Disabled => "DISABLED",
            Self::Paused => "PAUSED",
        }
    }
}

fn account_token(dice: Dice, number: u64) -> String {
    format!(
        "at_{}{}",
        dice.named("token").at(number).token(),
        dice.named("token's end").at(number).token()
    )
}
