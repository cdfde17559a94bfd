//! Asks Merge how an account is, and keeps our word for it and Merge's in step.
//!
//! Merge tells by no event that an account has to be linked again; only its details do. So they are asked for on a
//! schedule, and at once when an issue was opened or closed. Refusals count: one may be an accident, several in a row
//! mean that the customer must link again. When it is our own key that Merge refuses, no account is to blame, and none
//! is marked.
//!
//! An account that Merge does not know is marked as in error; if a webhook told that it was deleted, that is
//! proof enough, and everything of it is deleted here. The webhook alone is not.
//!
//! Safe to repeat. A relink that comes in between wins: what was asked before it is not written.

use merge_client::Error::{Forbidden, NotFound, Unauthorized};
use queue::{Attempt, Job, Lane, NewJob, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, AccountStatus, Health};

use crate::delete_account::DeleteAccount;
use crate::{JobContext, JobError};

/// Which account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckHealth {
    /// Ours.
    pub account_id: AccountId,
    /// Whether Merge told that it deleted the account.
    #[serde(default)]
    pub is_told_deleted: bool,
}

impl Job for CheckHealth {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "check_health";
    const QUEUE: Queue = Queue::SYNC;
    const PRIORITY: i16 = 60;

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    fn unique_key(&self) -> Option<String> {
        Some(format!("{}/{}", self.account_id, self.is_told_deleted))
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let account = context.open_account(self.account_id).await?;

        let merge = context.merge.account(account.category, &account.token);
        let health = match context.ask(attempt, merge.details()).await? {
            Ok(details) => Health::Told(details.status),
            Err(NotFound { .. }) if self.is_told_deleted => {
                return self.delete(attempt, &account.organization_id).await;
            }
            Err(NotFound { .. }) => Health::Unknown,
            Err(error @ (Unauthorized { .. } | Forbidden { .. })) => {
                context.blame(attempt, &error).await?;
                Health::Refused
            }
            Err(error) => return Err(error.into()),
        };

        let mut tx = attempt.begin().await?;
        let status =
            linked_accounts::record_health(&mut tx, self.account_id, account.linked_at, &health)
                .await?;
        Ok(attempt.complete(tx, json!({ "status": status })).await?)
    }
}

impl CheckHealth {
    async fn delete(&self, attempt: &mut Attempt, organization_id: &str) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        linked_accounts::begin_deletion(&mut tx, self.account_id, None).await?;
        let job = NewJob::new(&DeleteAccount {
            account_id: self.account_id,
        })?;
        queue::enqueue(&mut tx, &job.organization(organization_id)).await?;
        let status = AccountStatus::Deleting;
        Ok(attempt.complete(tx, json!({ "status": status })).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({
            "account_id": "00000000-0000-0000-0000-000000000007",
            "is_told_deleted": false,
        });

        let job: CheckHealth = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }
}
