//! Gets a link token for an account that exists, so that the customer can sign in again at the third party.
//!
//! Merge takes the same `end_user_origin_id` for the same account: its id, its token and what is stored stay as they
//! are. That the relink was done is told by the exchange that follows it, or by `LinkedAccount.linked`. Repeating it
//! gets another link token, which is harmless.

use merge_client::LinkTokenRequest;
use queue::{Attempt, Job, Lane, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::linked_accounts::{self, AccountStatus};
use store::{AccountId, sealed_link_tokens};

use crate::context::parse_category;
use crate::reply::seal_link_token;
use crate::{JobContext, JobError};

/// Which account, and where the link token goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelinkAccount {
    /// Ours.
    pub account_id: AccountId,
    /// Public key of the request that waits: base64, X25519.
    pub reply_key: String,
}

impl Job for RelinkAccount {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "relink_account";
    const QUEUE: Queue = Queue::INTERACTIVE;
    const PRIORITY: i16 = 10;
    const RETRY: RetryPolicy = RetryPolicy::QUICK;

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let account = linked_accounts::find(&mut conn, self.account_id, None)
            .await?
            .filter(|account| account.status != AccountStatus::Deleting)
            .ok_or_else(JobError::account_not_found)?;
        drop(conn);

        let request = LinkTokenRequest {
            end_user_origin_id: account.end_user_origin_id.clone(),
            end_user_organization_name: account.end_user_organization_name,
            end_user_email_address: account.end_user_email_address,
            categories: vec![parse_category(&account.category)?],
            integration: account.integration_slug.or(account.integration),
        };
        let answer = context
            .ask(attempt, context.merge.create_link_token(&request))
            .await??;

        let sealed = seal_link_token(&self.reply_key, attempt.job_id(), &answer.link_token)
            .map_err(|error| JobError::cancel("bad_reply_key", error))?;
        let mut tx = attempt.begin().await?;
        let lifetime = context.settings.link_token_lifetime;
        sealed_link_tokens::put(&mut tx, attempt.job_id().0, &sealed, lifetime).await?;
        let result = json!({
            "linked_account_id": account.id,
            "end_user_origin_id": account.end_user_origin_id,
        });
        Ok(attempt.complete(tx, result).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({
            "account_id": "00000000-0000-0000-0000-000000000007",
            "reply_key": "a2V5",
        });

        let job: RelinkAccount = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
        assert_eq!(job.lane(), Lane::account(job.account_id.0));
    }
}
