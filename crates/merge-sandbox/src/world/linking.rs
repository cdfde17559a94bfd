//! Linking: from a link token over the end user's choice to a public token, and on to the account.

use std::sync::Arc;
use std::time::Duration;

use merge_client::catalogue::Category;
use serde_json::json;
use uuid::Uuid;

use super::World;
use crate::account::{Account, NewAccount, PlanError};
use crate::clock::micros;
use crate::dice::Dice;
use crate::integrations::Integration;
use crate::links::Link;
use crate::options::AccountPlan;

/// A checked request for a link token.
#[derive(Debug)]
pub(crate) struct LinkRequest {
    pub(crate) end_user_origin_id: String,
    pub(crate) end_user_organization_name: String,
    pub(crate) end_user_email_address: String,
    pub(crate) categories: Vec<Category>,
    pub(crate) integration: Option<&'static Integration>,
    pub(crate) life: Duration,
}

/// Why linking could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The link token is unknown, used or expired.
    #[error("the link token is unknown, used or expired")]
    UnknownToken,
    /// The integration is unknown, or in none of the link's categories.
    #[error("the integration cannot be linked with this link token")]
    WrongIntegration,
    /// The account's plan does not fit its category.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl World {
    pub(crate) fn create_link_token(&self, request: LinkRequest) -> String {
        let link = Link {
            end_user_origin_id: request.end_user_origin_id,
            end_user_organization_name: request.end_user_organization_name,
            end_user_email_address: request.end_user_email_address,
            categories: request.categories,
            integration: request.integration,
            expires_at: self.clock.now().saturating_add(micros(request.life)),
        };
        self.lock_links().open(link)
    }

    /// The link of a token that can still be used.
    pub(crate) fn link(&self, link_token: &str) -> Option<Link> {
        self.lock_links()
            .find(link_token, self.clock.now())
            .cloned()
    }

    /// What the end user does in the dialog: chooses an integration and signs in. Uses the link token up, and gives the
    /// public token.
    pub(crate) fn complete_link(
        &self,
        link_token: &str,
        slug: Option<&str>,
        plan: Option<&AccountPlan>,
    ) -> Result<(String, Arc<Account>), LinkError> {
        let link = self.link(link_token).ok_or(LinkError::UnknownToken)?;
        let (category, integration) = self.chosen(&link, slug)?;
        // Of two who finish at once only one has the token.
        let link = self
            .lock_links()
            .take(link_token)
            .ok_or(LinkError::UnknownToken)?;
        let account = self
            .link_account(link.clone(), category, integration, plan)
            .inspect_err(|_| self.lock_links().put_back(link_token, link))?;
        let public_token = self.lock_links().publish(account.id, self.clock.now());
        Ok((public_token, account))
    }

    /// Links or relinks an end user's account and tells the receiver of webhooks.
    pub(crate) fn link_account(
        &self,
        link: Link,
        category: Category,
        integration: &'static Integration,
        plan: Option<&AccountPlan>,
    ) -> Result<Arc<Account>, LinkError> {
        if let Some(account) = self.account_of(&link.end_user_origin_id, category) {
            self.relink(&account, link);
            return Ok(account);
        }
        let number = self.next_account_number(&link.end_user_origin_id, category);
        let dice = Dice::new(self.options.seed)
            .named(category.as_str())
            .named(&link.end_user_origin_id)
            .at(number);
        let new = NewAccount {
            dice,
            category,
            integration,
            end_user_origin_id: link.end_user_origin_id.clone(),
            end_user_organization_name: link.end_user_organization_name.clone(),
            end_user_email_address: link.end_user_email_address.clone(),
            plan: plan.unwrap_or(&self.options.plan),
            model_ids: self.options.model_ids,
        };
        let account = Account::new(new, self.clock.now())?;
        if let Err(quicker) = self.add_account(&account) {
            self.relink(&quicker, link);
            return Ok(quicker);
        }
        // Told before the first sync starts, and so before any webhook of that sync.
        let linked = {
            let mut state = account.lock();
            let data = json!({ "account_token": state.token, "is_relink": false });
            account.notify(&mut state, "LinkedAccount.linked", data);
            std::mem::take(&mut state.outbox)
        };
        for notice in linked {
            self.webhooks.send(notice);
        }
        self.visit(&account, |_, _| ());
        Ok(account)
    }

    /// Gives the account of a public token, once.
    pub(crate) fn exchange(
        &self,
        public_token: &str,
        category: Option<Category>,
    ) -> Option<Arc<Account>> {
        let is_right = |id: Uuid| {
            self.account(id)
                .is_some_and(|account| category.is_none_or(|category| account.category == category))
        };
        let id = self
            .lock_links()
            .exchange(public_token, self.clock.now(), is_right)?;
        self.account(id)
    }

    /// The same account, id, token and integration; only its status and the end user's texts may change.
    fn relink(&self, account: &Account, link: Link) {
        self.visit(account, |state, now| {
            "COMPLETE".clone_into(&mut state.status);
            state.end_user_organization_name = link.end_user_organization_name;
            state.end_user_email_address = link.end_user_email_address;
            state.next_sync_start = state.next_sync_start.map(|next| next.max(now));
            let data = json!({ "account_token": state.token, "is_relink": true });
            account.notify(state, "LinkedAccount.linked", data);
        });
    }

    fn chosen(
        &self,
        link: &Link,
        slug: Option<&str>,
    ) -> Result<(Category, &'static Integration), LinkError> {
        let wanted = match slug {
            Some(slug) => Some(Integration::find(slug).ok_or(LinkError::WrongIntegration)?),
            None => link.integration,
        };
        let first = *link.categories.first().ok_or(LinkError::WrongIntegration)?;
        let Some(integration) = wanted else {
            let dice = Dice::new(self.options.seed).named(&link.end_user_origin_id);
            let drawn = Integration::drawn(first, dice).ok_or(LinkError::WrongIntegration)?;
            return Ok((first, drawn));
        };
        let category = link
            .categories
            .iter()
            .find(|category| integration.offers(**category))
            .ok_or(LinkError::WrongIntegration)?;
        Ok((*category, integration))
    }
}
