//! Linked accounts: look again, read again, go away.

use jobs::delete_account::DeleteAccount;
use jobs::poll_sync_status::PollSyncStatus;
use jobs::resync::{Resync, SyncType};
use phrases::{mark, say};
use queue::{Job, JobId, NewJob};
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, LinkedAccount};

use super::{Change, Deed, Error, Ops};

impl Ops {
    /// Asks Merge now how far an account is.
    pub async fn poll_account(&self, id: AccountId) -> Result<JobId, Error> {
        let job = PollSyncStatus { account_id: id };
        let change = self.begin(Deed::AccountPoll).await?;
        enqueue_for(change, id, &job, None).await
    }

    /// Reads again what changed lately, or everything, of all models or of one.
    pub async fn resync_account(
        &self,
        id: AccountId,
        sync_type: SyncType,
        model_id: Option<String>,
        reason: Option<&str>,
    ) -> Result<JobId, Error> {
        let deed = match sync_type {
            SyncType::Full => Deed::AccountResync,
            SyncType::Incremental => Deed::AccountSweep,
        };
        let job = Resync {
            account_id: id,
            sync_type,
            model_id,
        };
        let change = self.begin(deed).await?;
        enqueue_for(change, id, &job, reason).await
    }

    /// Deletes an account: at Merge, then here, for good. `typed` is what somebody typed to show that they mean it.
    pub async fn delete_account(
        &self,
        id: AccountId,
        typed: &str,
        reason: &str,
    ) -> Result<JobId, Error> {
        let mut change = self.begin(Deed::AccountDelete).await?;
        let account = find(&mut change, id).await?;
        let name = account.end_user_organization_name.trim();
        if typed.trim() != name {
            return Err(Error::Refused(say!(
                "this deletes the account and all its records for good: type `{name}` to confirm that you mean it",
                name
            )));
        }
        enqueue_for(change, id, &DeleteAccount { account_id: id }, Some(reason)).await
    }
}

async fn find(change: &mut Change, id: AccountId) -> Result<LinkedAccount, Error> {
    let account = linked_accounts::find(change.connection(), id, None).await?;
    account.ok_or(Error::Missing(mark!("linked account")))
}

/// Enqueues a job for an account that is there.
async fn enqueue_for<J: Job>(
    mut change: Change,
    id: AccountId,
    job: &J,
    reason: Option<&str>,
) -> Result<JobId, Error> {
    let account = find(&mut change, id).await?;
    let is_deletion = J::KIND == DeleteAccount::KIND;
    if !is_deletion && !account.status.is_readable() {
        return Err(Error::Refused(say!(
            "there is nothing to read of an account that is not linked, or is being deleted"
        )));
    }
    let job = NewJob::new(job)?.organization(&account.organization_id);
    let enqueued = queue::enqueue(change.connection(), &job).await?;
    change.makes(enqueued.id);
    let detail = json!({
        "organization_id": account.organization_id,
        "status": account.status,
        "job_id": enqueued.id,
    });
    change.done(&id.to_string(), reason, detail).await?;
    Ok(enqueued.id)
}
