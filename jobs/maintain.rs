//! The tick that removes what has expired, and puts right what fell between two stools.
//!
//! Link tokens that nobody fetched, idempotency keys, days of old deliveries, old events, and what the queue itself keeps
//! too long. Events that nobody read get their place in the feed.
//! If deliveries wait and no job is there to drain them, because the receiver was killed before it could enqueue one, or
//! the job died of a fault since mended, one is enqueued; and so for accounts that are being deleted.
//! Everything is bounded per run, and looked for anew at the next.

use std::time::Duration;

use queue::maintenance::Retention;
use queue::{Attempt, Job, Lane, NewJob, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    events, exchanges, idempotency_keys, linked_accounts, sealed_link_tokens, webhook_deliveries,
};

use crate::delete_account::DeleteAccount;
use crate::process_deliveries::ProcessDeliveries;
use crate::{JobContext, JobError};

/// How long a public token can be exchanged again, and an answer that led to nothing is kept at most.
const KEEP_EXCHANGES: Duration = Duration::from_hours(1);

/// A deletion that takes longer may have lost its job.
const LONG_DELETION: Duration = Duration::from_hours(1);

/// Deletions that get a job in one run.
const DELETIONS: u16 = 500;

/// Rows removed of one table in one run.
const BATCH: u32 = 10_000;

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Maintain {}

impl Job for Maintain {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "maintain";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const PRIORITY: i16 = 200;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("30 * * * * *"));

    fn lane(&self) -> Lane {
        Lane::system()
    }

    fn unique_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let settings = &context.settings;
        let retention = Retention {
            history: settings.keep_history,
            workers: settings.keep_history,
        };
        let queue = queue::maintenance::run(&context.pool, retention).await?;

        // Needs no fence: who else does it meanwhile does the same.
        let mut conn = context.pool.acquire().await?;
        while events::place(&mut conn).await? {}
        webhook_deliveries::ensure_partitions(&mut conn).await?;
        let delivery_days =
            webhook_deliveries::drop_old(&mut conn, settings.keep_deliveries).await?;
        drop(conn);

        let mut tx = attempt.begin().await?;
        let link_tokens = sealed_link_tokens::delete_expired(&mut tx).await?;
        exchanges::delete_old(&mut tx, KEEP_EXCHANGES).await?;
        let keys =
            idempotency_keys::delete_old(&mut tx, settings.keep_idempotency_keys, BATCH).await?;
        let events = events::forget_old(&mut tx, settings.keep_events, BATCH).await?;
        let shards = webhook_deliveries::waiting_shards(&mut tx).await?;
        let mut jobs = ProcessDeliveries::of_shards(&shards)?;
        for account in linked_accounts::list_deleting(&mut tx, LONG_DELETION, DELETIONS).await? {
            let job = NewJob::new(&DeleteAccount {
                account_id: account.id,
            })?;
            jobs.push(job.organization(&account.organization_id));
        }
        queue::enqueue_many(&mut tx, &jobs).await?;
        let result = json!({
            "queue": queue,
            "link_tokens": link_tokens,
            "idempotency_keys": keys,
            "delivery_days": delivery_days,
            "events": events,
        });
        Ok(attempt.complete(tx, result).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_empty() {
        assert_eq!(serde_json::to_value(Maintain {}).unwrap(), json!({}));
    }
}
