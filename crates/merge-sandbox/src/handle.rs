//! What a test does to a sandbox in its own process; the control routes do the same over HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use merge_client::catalogue::Category;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::{Account, ModelState};
use crate::clock::{Micros, to_time};
use crate::faults::Fault;
use crate::integrations::Integration;
use crate::links::Link;
use crate::options::{AccountPlan, Outcome, WebhookTarget};
use crate::records::Record;
use crate::truth::{fields_of, model_of};
use crate::views::{
    AccountView, CompletedLink, Fields, LinkedAccount, ModelTruth, StateView, TruthPage,
    TruthRecord,
};
use crate::webhooks::{DeliveryView, WebhookFaults, WebhookSummary};
use crate::world::{LinkError, World};

/// A running sandbox's controls. Cheap to clone; all clones mean the same sandbox.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<World>);

/// Why a control could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No account has that id.
    #[error("no linked account has that id")]
    NoAccount,
    /// The account does not have that model, or the catalogue does not know it.
    #[error("the account has no such model")]
    NoModel,
    /// The model has no record with that key.
    #[error("the model has no record with that key")]
    NoRecord,
    /// The category is none of the catalogue's.
    #[error("no such category")]
    NoCategory,
    /// `after` comes from another list, or from nowhere.
    #[error("`after` was not given out by this list")]
    BadCursor,
    /// Nothing can be sent: no receiver is set, or the delivery is not known any more.
    #[error("there is no receiver of webhooks, or no such delivery")]
    NothingToSend,
    /// Linking could not be finished.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What the end user does in the dialog.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteLink {
    /// The slug of the integration chosen; `None` takes the link token's own, or draws one.
    pub integration: Option<String>,
    /// What a new account consists of; `None` for the sandbox's plan.
    pub plan: Option<AccountPlan>,
}

/// An account to link without link token and dialog, for tests of what comes after.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkAccount {
    /// Such as `hris`.
    pub category: String,
    /// The integrator's id of the connection.
    pub end_user_origin_id: String,
    /// The slug of the integration; `None` draws one.
    #[serde(default)]
    pub integration: Option<String>,
    /// What it consists of; `None` for the sandbox's plan.
    #[serde(default)]
    pub plan: Option<AccountPlan>,
}

impl Handle {
    /// The sandbox's clock.
    pub fn now(&self) -> DateTime<Utc> {
        to_time(self.0.clock.now())
    }

    /// Moves the clock ahead. All that was due until then has happened when this returns; webhooks are on their way.
    pub fn advance(&self, by: Duration) {
        self.0.advance(by);
    }

    /// Stops changes of records from now on, or lets them go on.
    ///
    /// Syncs run on, so every model soon ends one after its last change; first syncs bring all their records.
    pub fn freeze(&self, is_frozen: bool) {
        self.0.set_frozen(is_frozen);
    }

    /// The sandbox as a whole.
    pub fn state(&self) -> StateView {
        let (peak_errors_in_10_s, error_limited) = self.0.errors.peak_and_refused();
        let accounts = self.accounts();
        StateView {
            now: self.now(),
            is_frozen: self.0.is_frozen(),
            accounts: accounts.len(),
            accounts_in_first_sync: accounts
                .iter()
                .filter(|account| !account.has_ended_first_sync)
                .count(),
            records: accounts.iter().map(|account| account.records).sum(),
            requests: *self.0.requests.borrow(),
            peak_requests_per_minute: accounts
                .iter()
                .map(|account| account.peak_requests_per_minute)
                .max()
                .unwrap_or(0),
            rate_limited: accounts.iter().map(|account| account.rate_limited).sum(),
            peak_errors_in_10_s,
            error_limited,
            webhooks: self.webhook_summary(),
        }
    }

    /// Returns once the sandbox has got so many requests more: a moment at which somebody waits for an answer.
    pub async fn after_requests(&self, more: u64) {
        let mut requests = self.0.requests.subscribe();
        let last = *requests.borrow() + more;
        // The sender lives as long as the sandbox, which `self` holds.
        let _ = requests.wait_for(|requests| *requests >= last).await;
    }

    /// All linked accounts, in the order of linking.
    pub fn accounts(&self) -> Vec<AccountView> {
        self.0
            .accounts()
            .iter()
            .map(|account| self.view(account))
            .collect()
    }

    /// One linked account.
    pub fn account(&self, id: Uuid) -> Result<AccountView, ControlError> {
        Ok(self.view(&*self.find(id)?))
    }

    /// Finishes the linking that was begun with this link token, as an end user would.
    pub fn complete_link(
        &self,
        link_token: &str,
        choice: &CompleteLink,
    ) -> Result<CompletedLink, ControlError> {
        let (public_token, account) = self.0.complete_link(
            link_token,
            choice.integration.as_deref(),
            choice.plan.as_ref(),
        )?;
        Ok(CompletedLink {
            public_token,
            linked_account_id: account.id,
            category: account.category.to_string(),
            integration: account.integration.slug.to_owned(),
        })
    }

    /// Links an account at once, without the dialog.
    pub fn link_account(&self, wanted: &LinkAccount) -> Result<LinkedAccount, ControlError> {
        let category = Category::parse(&wanted.category).ok_or(ControlError::NoCategory)?;
        let dice = crate::dice::Dice::new(self.0.options.seed).named(&wanted.end_user_origin_id);
        let integration = match &wanted.integration {
            Some(slug) => {
                Integration::find(slug).filter(|integration| integration.offers(category))
            }
            None => Integration::drawn(category, dice),
        }
        .ok_or(LinkError::WrongIntegration)?;
        let link = Link {
            end_user_origin_id: wanted.end_user_origin_id.clone(),
            end_user_organization_name: "Harbour & Fjord GmbH".to_owned(),
            end_user_email_address: "it-admin@example.com".to_owned(),
            categories: vec![category],
            integration: None,
            expires_at: Micros::MAX,
        };
        let account = self
            .0
            .link_account(link, category, integration, wanted.plan.as_ref())?;
        let account_token = account.lock().token.clone();
        Ok(LinkedAccount {
            id: account.id,
            account_token,
        })
    }

    /// Sets the account's status, such as `RELINK_NEEDED`, which also stops its syncs until it is linked again.
    pub fn set_status(&self, id: Uuid, status: &str) -> Result<(), ControlError> {
        let account = self.find(id)?;
        self.0.visit(&account, |state, now| {
            status.clone_into(&mut state.status);
            state.next_sync_start = state.next_sync_start.map(|next| next.max(now));
        });
        Ok(())
    }

    /// Removes the account, as Merge's dashboard can; `LinkedAccount.deleted` goes out.
    pub fn delete_account(&self, id: Uuid) -> Result<(), ControlError> {
        self.0.delete_account(&*self.find(id)?);
        Ok(())
    }

    /// Sets how the next syncs of a model end. A model that was disabled is loaded by the next sync.
    pub fn set_outcome(
        &self,
        id: Uuid,
        model_id: &str,
        outcome: Outcome,
    ) -> Result<(), ControlError> {
        self.with_model(id, model_id, |_, model, _| {
            model.outcome = outcome;
            Ok(())
        })
    }

    /// Starts a sync of the account now; false when one is running already.
    pub fn start_sync(&self, id: Uuid) -> Result<bool, ControlError> {
        let account = self.find(id)?;
        let rules = self.0.rules();
        Ok(self
            .0
            .visit(&account, |state, now| account.start_sync(state, now, rules)))
    }

    /// The truth of every model of an account, in short.
    pub fn truth(&self, id: Uuid) -> Result<Vec<ModelTruth>, ControlError> {
        let account = self.find(id)?;
        Ok(self
            .0
            .visit(&account, |state, _| account.truth_summary(state)))
    }

    /// At most `limit` records of a model as they should be stored, from `after` on, with their JSON if wanted.
    pub fn truth_page(
        &self,
        id: Uuid,
        model_id: &str,
        after: Option<&str>,
        limit: usize,
        with_data: bool,
    ) -> Result<TruthPage, ControlError> {
        let account = self.find(id)?;
        let model = model_of(model_id)?;
        self.0.visit(&account, |state, _| {
            account.truth_page(state, model, after, limit, with_data)
        })
    }

    /// Creates a record now, outside any sync, with these fields instead of generated ones.
    pub fn create_record(
        &self,
        id: Uuid,
        model_id: &str,
        fields: Fields,
    ) -> Result<TruthRecord, ControlError> {
        self.with_model(id, model_id, |account, model, now| {
            let record = model.records.create(now);
            record.fields = fields_of(fields);
            let record = record.clone();
            Ok(account.truth_record(model, &record, true))
        })
    }

    /// Changes a record now, outside any sync. Without fields some generated ones change.
    pub fn change_record(
        &self,
        id: Uuid,
        model_id: &str,
        key: &str,
        fields: Fields,
    ) -> Result<TruthRecord, ControlError> {
        self.alter(id, model_id, key, |record, now| {
            record.touch(now);
            if let Some(new) = fields_of(fields) {
                record.fields.get_or_insert_default().extend(*new);
            }
        })
    }

    /// Deletes a record now, outside any sync. A record without a mark for it vanishes instead.
    pub fn delete_record(
        &self,
        id: Uuid,
        model_id: &str,
        key: &str,
    ) -> Result<TruthRecord, ControlError> {
        let deleted = self.alter(id, model_id, key, |record, now| {
            record.touch(now);
            record.is_deleted = true;
        })?;
        self.with_model(id, model_id, |account, model, _| {
            if !model.model.has_deleted_mark
                && let Some(index) = position_of(account, model, key)
            {
                model.records.remove(index);
            }
            Ok(deleted)
        })
    }

    /// Lets the next matching requests fail.
    pub fn add_fault(&self, fault: Fault) {
        self.0.faults.add(fault);
    }

    /// The faults that are not used up.
    pub fn faults(&self) -> Vec<Fault> {
        self.0.faults.all()
    }

    /// Forgets all faults of answers.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// Sets where webhooks go from now on; `None` sends none.
    pub fn set_webhook_target(&self, target: Option<WebhookTarget>) {
        self.0.webhooks.set_target(target);
    }

    /// Sets the faults of deliveries from now on.
    pub fn set_webhook_faults(&self, faults: WebhookFaults) {
        self.0.webhooks.set_faults(faults);
    }

    /// Sends what the dashboard's test button does.
    pub fn ping_webhook(&self) -> Result<(), ControlError> {
        self.0
            .webhooks
            .ping()
            .then_some(())
            .ok_or(ControlError::NothingToSend)
    }

    /// Sends these bytes as a webhook, signed and retried like any other. `event` is for the log only.
    pub fn send_webhook(&self, event: &str, body: impl Into<Bytes>) -> Result<(), ControlError> {
        self.0
            .webhooks
            .send_raw(event, body.into())
            .then_some(())
            .ok_or(ControlError::NothingToSend)
    }

    /// Sends the bytes of a logged delivery once more.
    pub fn redeliver_webhook(&self, delivery_id: Uuid) -> Result<(), ControlError> {
        self.0
            .webhooks
            .redeliver(delivery_id)
            .then_some(())
            .ok_or(ControlError::NothingToSend)
    }

    /// The last ten thousand deliveries, oldest first; `offset` skips.
    pub fn deliveries(&self, offset: usize, limit: usize) -> Vec<DeliveryView> {
        self.0.webhooks.log.list(offset, limit)
    }

    /// Sums over all deliveries.
    pub fn webhook_summary(&self) -> WebhookSummary {
        self.0.webhooks.log.summary()
    }

    fn find(&self, id: Uuid) -> Result<Arc<Account>, ControlError> {
        self.0.account(id).ok_or(ControlError::NoAccount)
    }

    fn with_model<T>(
        &self,
        id: Uuid,
        model_id: &str,
        work: impl FnOnce(&Account, &mut ModelState, Micros) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let account = self.find(id)?;
        let model = model_of(model_id)?;
        self.0.visit(&account, |state, now| {
            let model = state.model_mut(model).ok_or(ControlError::NoModel)?;
            work(&account, model, now)
        })
    }

    fn alter(
        &self,
        id: Uuid,
        model_id: &str,
        key: &str,
        work: impl FnOnce(&mut Record, Micros),
    ) -> Result<TruthRecord, ControlError> {
        self.with_model(id, model_id, |account, model, now| {
            let index = position_of(account, model, key).ok_or(ControlError::NoRecord)?;
            let record = model.records.at_mut(index).ok_or(ControlError::NoRecord)?;
            work(record, now);
            let record = record.clone();
            Ok(account.truth_record(model, &record, true))
        })
    }

    fn view(&self, account: &Account) -> AccountView {
        self.0
            .visit(account, |state, _| AccountView::of(account, state))
    }
}

fn position_of(account: &Account, model: &ModelState, key: &str) -> Option<usize> {
    let author = account.author(model);
    model
        .records
        .iter()
        .position(|record| author.key(record) == key)
}
