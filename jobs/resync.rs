//! Reads an account again because somebody asked for it; nothing else ever does, since Merge's own resync costs money.
//!
//! *Incremental*: a sweep, what Merge changed since its last finish. *Full*: Merge is asked to sync the account anew, all
//! of its models, whichever is named; and what it has now is read whole, so that what is missing is found, and what
//! changed without a new time.
//!
//! Merge is asked in the first attempt only: an attempt that ended without an answer may have been charged for, and
//! the next one does not ask again. What is read here does not depend on it. All else is wanted, not done: see
//! [`store::fetch_windows::Wanted`].

use queue::{Attempt, Job, Lane, NewJob, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::fetch_windows::Wanted;
use store::{AccountId, linked_accounts, model_syncs};

use crate::context::OpenAccount;
use crate::fetch_model_window::FetchModelWindow;
use crate::poll_sync_status::PollSyncStatus;
use crate::{JobContext, JobError};

/// What to read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resync {
    /// Ours.
    pub account_id: AccountId,
    /// How much of it.
    pub sync_type: SyncType,
    /// Only this model, `hris.Employee`.
    #[serde(default)]
    pub model_id: Option<String>,
}

/// How much is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncType {
    /// Everything, and Merge reads the third party anew.
    Full,
    /// What Merge changed since its last finish.
    Incremental,
}

impl Job for Resync {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "resync";
    const QUEUE: Queue = Queue::SYNC;
    const PRIORITY: i16 = 40;

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let account = context.open_account(self.account_id).await?;
        let (wanted, merge) = match self.sync_type {
            SyncType::Incremental => (Wanted::Sweep, "not asked"),
            SyncType::Full => (Wanted::Whole, ask_merge(context, attempt, &account).await?),
        };

        let mut tx = attempt.begin().await?;
        linked_accounts::lock(&mut tx, self.account_id).await?;
        let model_id = self.model_id.as_deref();
        let models = model_syncs::want(&mut tx, self.account_id, model_id, wanted).await?;
        let organization_id = &account.organization_id;
        let mut jobs = FetchModelWindow::for_models(self.account_id, organization_id, &models)?;
        let poll = NewJob::new(&PollSyncStatus {
            account_id: self.account_id,
        })?;
        jobs.push(poll.organization(organization_id));
        queue::enqueue_many(&mut tx, &jobs).await?;
        let result = json!({ "models": models, "provider": merge });
        Ok(attempt.complete(tx, result).await?)
    }
}

/// Has Merge sync the account anew, if its plan includes that.
async fn ask_merge(
    context: &JobContext,
    attempt: &Attempt,
    account: &OpenAccount,
) -> Result<&'static str, JobError> {
    if attempt.number() > 1 {
        return Ok("asked before");
    }
    let merge = context.merge.account(account.category, &account.token);
    match context.ask(attempt, merge.resync()).await? {
        Ok(_) => Ok("syncs anew"),
        Err(merge_client::Error::Forbidden { .. }) => Ok("not in the plan"),
        Err(error) => {
            context.blame(attempt, &error).await?;
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({
            "account_id": "00000000-0000-0000-0000-000000000007",
            "sync_type": "FULL",
            "model_id": null,
        });

        let job: Resync = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }
}
