//! Which of our accounts a webhook means.

use merge_client::webhook::{AccountRef, Event};
use queue::FencedTx;
use secrecy::SecretString;
use store::AccountId;
use store::linked_accounts::{self, LinkedAccount};

use crate::{JobContext, JobError};

/// Finds and locks the account: by Merge's id, else by our name of the connection, else by the token.
///
/// When id and name lead to different accounts, the id is believed. When another way than the id led there, the id is
/// learned. Webhooks come for the whole organization at Merge, so that no account is a normal answer.
pub(super) async fn find_account(
    tx: &mut FencedTx,
    context: &JobContext,
    event: &Event,
) -> Result<Option<LinkedAccount>, JobError> {
    let account = &event.account;
    let by_id = match &account.id {
        Some(id) => linked_accounts::find_by_merge_id(tx, id).await?,
        None => None,
    };
    let by_name = by_name(tx, account).await?;
    if let (Some(by_id), Some(by_name)) = (by_id, by_name)
        && by_id != by_name
    {
        tracing::warn!(account.id = %by_id, other.id = %by_name, event = %event.name,
            "id and origin id of a webhook lead to different accounts");
    }
    let found = match by_id.or(by_name) {
        Some(found) => Some(found),
        None => by_token(tx, context, account).await?,
    };
    let Some(id) = found else { return Ok(None) };

    linked_accounts::lock(tx, id).await?;
    if let (None, Some(merge_id)) = (by_id, &account.id) {
        linked_accounts::learn_merge_id(tx, id, merge_id).await?;
    }
    Ok(linked_accounts::find(tx, id, None).await?)
}

async fn by_name(tx: &mut FencedTx, account: &AccountRef) -> Result<Option<AccountId>, JobError> {
    let (Some(origin_id), Some(category)) = (&account.end_user_origin_id, &account.category) else {
        return Ok(None);
    };
    Ok(linked_accounts::find_by_origin_id(tx, origin_id, &category.to_lowercase()).await?)
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
