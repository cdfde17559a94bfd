//! Deletes an account: first at Merge, then everything we have of it.
//!
//! The steps, each safe to repeat: mark the account, from where on nothing of it is read or polled; ask Merge, who may
//! know it no longer; wipe the token; remove sync state, after which no page can be stored; remove the records in
//! batches; remove deliveries and the account itself. Whatever else Merge answers, the account stays marked and the
//! job is tried again, for most of a day.

use std::time::Duration;

use merge_client::AccountToken;
use queue::{Attempt, Job, Lane, Queue, RetryPolicy};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    AccountId, exchanges, fetch_windows, linked_accounts, model_records, model_syncs,
    webhook_deliveries,
};
use tokio::time::Instant;

use crate::context::parse_category;
use crate::{JobContext, JobError};

/// Records removed in one transaction.
const BATCH: u32 = 5_000;

/// Which account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteAccount {
    /// Ours.
    pub account_id: AccountId,
}

impl Job for DeleteAccount {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "delete_account";
    const QUEUE: Queue = Queue::INTERACTIVE;
    const PRIORITY: i16 = 10;
    const RETRY: RetryPolicy = RetryPolicy::PATIENT;
    const TIMEOUT: Duration = Duration::from_mins(5);

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    fn unique_key(&self) -> Option<String> {
        Some(self.account_id.to_string())
    }

    fn limit_key(&self) -> Option<String> {
        Some("delete_account".to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        let is_there = linked_accounts::begin_deletion(&mut tx, self.account_id, None).await?;
        if !is_there {
            return Ok(attempt.complete(tx, json!({ "was_there": false })).await?);
        }
        tx.commit().await?;

        self.delete_at_merge(context, attempt).await?;
        self.delete_sync_state(attempt).await?;
        let records = self.delete_records(context, attempt).await?;

        let mut tx = attempt.begin().await?;
        webhook_deliveries::delete_of_account(&mut tx, self.account_id).await?;
        exchanges::delete_of_account(&mut tx, self.account_id).await?;
        linked_accounts::delete(&mut tx, self.account_id).await?;
        Ok(attempt
            .complete(tx, json!({ "was_there": true, "records": records }))
            .await?)
    }
}

impl DeleteAccount {
    async fn delete_at_merge(
        &self,
        context: &JobContext,
        attempt: &Attempt,
    ) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let access = linked_accounts::access(&mut conn, &context.keyring, self.account_id).await?;
        drop(conn);
        // No token: it was never linked, or Merge was asked in an earlier attempt.
        let Some((access, token)) =
            access.and_then(|mut access| access.token.take().map(|token| (access, token)))
        else {
            return Ok(());
        };
        let category = parse_category(&access.category)?;
        let token = AccountToken::new(token.expose_secret().to_owned());

        let account = context.merge.account(category, &token);
        context
            .ask(attempt, account.delete())
            .await?
            .map_err(JobError::retry_even_refusals)?;

        let mut tx = attempt.begin().await?;
        linked_accounts::wipe_token(&mut tx, self.account_id).await?;
        Ok(tx.commit().await?)
    }

    async fn delete_sync_state(&self, attempt: &Attempt) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        linked_accounts::lock(&mut tx, self.account_id).await?;
        model_syncs::delete_all(&mut tx, self.account_id).await?;
        fetch_windows::delete_all(&mut tx, self.account_id).await?;
        Ok(tx.commit().await?)
    }

    async fn delete_records(
        &self,
        context: &JobContext,
        attempt: &Attempt,
    ) -> Result<u64, JobError> {
        let deadline = Instant::now() + context.settings.turn;
        let mut deleted = 0;
        loop {
            let mut tx = attempt.begin().await?;
            let batch = model_records::delete_batch(&mut tx, self.account_id, BATCH).await?;
            tx.commit().await?;
            deleted += batch;
            if batch < u64::from(BATCH) {
                return Ok(deleted);
            }
            if attempt.cancellation().is_cancelled() || Instant::now() >= deadline {
                return Err(JobError::yield_turn("others of the lane have their turn"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({ "account_id": "00000000-0000-0000-0000-000000000007" });

        let job: DeleteAccount = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }
}
