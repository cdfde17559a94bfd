//! The accounts of a sandbox, by id, by token and by end user.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use merge_client::catalogue::Category;
use uuid::Uuid;

use super::World;
use crate::account::Account;
use crate::clock::Micros;

#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// In the order of linking.
    order: Vec<Arc<Account>>,
    by_id: HashMap<Uuid, Arc<Account>>,
    by_token: HashMap<String, Uuid>,
    by_end_user: HashMap<(String, Category), Uuid>,
    /// Tokens of deleted accounts: they answer 404, not 401.
    deleted_tokens: HashSet<String>,
    /// How many accounts each end user has had, so that a new one after a deletion is another.
    made: HashMap<(String, Category), u64>,
}

/// What an account token stands for.
#[derive(Debug)]
pub(crate) enum Standing {
    Linked(Arc<Account>),
    Deleted,
    Unknown,
}

impl World {
    /// All accounts, in the order of linking.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        self.read_accounts().order.clone()
    }

    pub(crate) fn account(&self, id: Uuid) -> Option<Arc<Account>> {
        self.read_accounts().by_id.get(&id).cloned()
    }

    pub(crate) fn account_of(
        &self,
        end_user_origin_id: &str,
        category: Category,
    ) -> Option<Arc<Account>> {
        let accounts = self.read_accounts();
        let id = accounts
            .by_end_user
            .get(&(end_user_origin_id.to_owned(), category))?;
        accounts.by_id.get(id).cloned()
    }

    pub(crate) fn account_by_token(&self, token: &str) -> Standing {
        let accounts = self.read_accounts();
        let account = accounts
            .by_token
            .get(token)
            .and_then(|id| accounts.by_id.get(id));
        match account {
            Some(account) => Standing::Linked(account.clone()),
            None if accounts.deleted_tokens.contains(token) => Standing::Deleted,
            None => Standing::Unknown,
        }
    }

    /// How many accounts that end user has had until now; counts one more.
    pub(super) fn next_account_number(&self, end_user_origin_id: &str, category: Category) -> u64 {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let made = accounts
            .made
            .entry((end_user_origin_id.to_owned(), category))
            .or_default();
        *made += 1;
        *made
    }

    /// Adds a new account; gives the one that was quicker when the end user already has one.
    pub(super) fn add_account(&self, account: &Arc<Account>) -> Result<(), Arc<Account>> {
        let token = account.lock().token.clone();
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let end_user = (account.end_user_origin_id.clone(), account.category);
        if let Some(existing) = accounts
            .by_end_user
            .get(&end_user)
            .and_then(|id| accounts.by_id.get(id))
        {
            return Err(existing.clone());
        }
        accounts.by_end_user.insert(end_user, account.id);
        accounts.by_token.insert(token, account.id);
        accounts.by_id.insert(account.id, account.clone());
        accounts.order.push(account.clone());
        Ok(())
    }

    /// Makes a new account token; the old one is unknown from then on.
    pub(crate) fn regenerate_token(&self, account: &Account) -> String {
        let (old, new) = self.visit(account, |state, _| {
            let old = state.token.clone();
            (old, account.regenerate_token(state))
        });
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.by_token.remove(&old);
        accounts.by_token.insert(new.clone(), account.id);
        new
    }

    /// Removes an account; its webhook `LinkedAccount.deleted` goes out.
    pub(crate) fn delete_account(&self, account: &Account) {
        let token = self.visit(account, |state, _| {
            account.notify(state, "LinkedAccount.deleted", serde_json::json!({}));
            state.next_sync_start = None;
            state.token.clone()
        });
        self.forget_due(account);
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.by_id.remove(&account.id);
        accounts.by_token.remove(&token);
        accounts
            .by_end_user
            .remove(&(account.end_user_origin_id.clone(), account.category));
        accounts.order.retain(|other| other.id != account.id);
        accounts.deleted_tokens.insert(token);
    }

    fn forget_due(&self, account: &Account) {
        let mut state = account.lock();
        if let Some(due) = state.agenda_entry.take() {
            let entry: (Micros, Uuid) = (due, account.id);
            self.lock_agenda().remove(&entry);
        }
    }

    fn read_accounts(&self) -> std::sync::RwLockReadGuard<'_, Accounts> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }
}
