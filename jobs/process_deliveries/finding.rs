//! Which of our accounts webhooks mean.

use std::collections::{BTreeSet, HashMap};

use merge_client::webhook::{AccountRef, Event, EventKind};
use queue::FencedTx;
use secrecy::SecretString;
use store::AccountId;
use store::linked_accounts::{self, Hint, LinkedAccount, Meant};

use crate::{JobContext, JobError};

/// The accounts that a batch of events means, held until the transaction ends.
pub(super) struct Accounts {
    /// In the order of the events.
    meant: Vec<Option<AccountId>>,
    held: HashMap<AccountId, LinkedAccount>,
}

impl Accounts {
    /// Finds and locks the accounts: by Merge's id, else by our name of the connection, else by the token.
    ///
    /// When id and name lead to different accounts, the id is believed. When another way than the id led there, the id
    /// is learned. Webhooks come for the whole organization at Merge, so that no account is a normal answer.
    pub(super) async fn hold(
        tx: &mut FencedTx,
        context: &JobContext,
        events: &[Option<&Event>],
    ) -> Result<Self, JobError> {
        let hints: Vec<Hint<'_>> = events.iter().map(|event| hint(*event)).collect();
        let found = linked_accounts::find_meant(tx, &hints).await?;
        let mut meant = Vec::with_capacity(events.len());
        let mut to_learn = Vec::new();
        for (event, found) in events.iter().zip(found) {
            let Some(event) = event else {
                meant.push(None);
                continue;
            };
            warn_of_conflict(event, found);
            let id = match found.by_merge_id.or(found.by_origin_id) {
                Some(id) => Some(id),
                None => by_token(tx, context, &event.account).await?,
            };
            if let (Some(id), None, Some(merge_id)) = (id, found.by_merge_id, &event.account.id) {
                to_learn.push((id, merge_id));
            }
            meant.push(id);
        }

        let ids: BTreeSet<AccountId> = meant.iter().flatten().copied().collect();
        let ids: Vec<AccountId> = ids.into_iter().collect();
        let held = linked_accounts::lock_many(tx, &ids).await?;
        for (id, merge_id) in to_learn {
            linked_accounts::learn_merge_id(tx, id, merge_id).await?;
        }
        let held = held.into_iter().map(|account| (account.id, account));
        Ok(Self {
            meant,
            held: held.collect(),
        })
    }

    /// The account that the event at this place means, if it is one of ours.
    pub(super) fn of(&self, index: usize) -> Option<&LinkedAccount> {
        self.held.get(self.meant.get(index)?.as_ref()?)
    }

    /// Reads an account again, after a change.
    pub(super) async fn refresh(
        &mut self,
        tx: &mut FencedTx,
        id: AccountId,
    ) -> Result<(), JobError> {
        if let Some(account) = linked_accounts::find(tx, id, None).await? {
            self.held.insert(id, account);
        }
        Ok(())
    }
}

/// What an event says about its account; a test says nothing.
fn hint(event: Option<&Event>) -> Hint<'_> {
    let Some(event) = event.filter(|event| !matches!(event.kind, EventKind::TestPing)) else {
        return Hint::default();
    };
    let account = &event.account;
    let category = account.category.as_ref().map(|name| name.to_lowercase());
    Hint {
        merge_account_id: account.id.as_deref(),
        origin: account.end_user_origin_id.as_deref().zip(category),
    }
}

fn warn_of_conflict(event: &Event, found: Meant) {
    if let (Some(by_id), Some(by_name)) = (found.by_merge_id, found.by_origin_id)
        && by_id != by_name
    {
        tracing::warn!(account.id = %by_id, other.id = %by_name, event = %event.name,
            "id and origin id of a webhook lead to different accounts");
    }
}

async fn by_token(
    tx: &mut FencedTx,
    context: &JobContext,
    account: &AccountRef,
) -> Result<Option<AccountId>, JobError> {
    let Some(token) = &account.account_token else {
        return Ok(None);
    };
    let token = SecretString::from(token.expose());
    Ok(linked_accounts::find_by_token(tx, &context.keyring, &token).await?)
}
