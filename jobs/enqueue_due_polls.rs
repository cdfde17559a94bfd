//! The tick that keeps accounts polled: enqueues a poll for each account whose time has come.
//!
//! Taking an account puts its next poll off, at random; the poll itself then sets the right time. So an account whose
//! poll fails comes again, accounts that came together part, and a tick that is late or lost is made up by the next.

use queue::{Attempt, Job, Lane, NewJob, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::linked_accounts;

use crate::poll_sync_status::PollSyncStatus;
use crate::{JobContext, JobError};

/// Accounts taken in one transaction.
const BATCH: u16 = 500;

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnqueueDuePolls {}

impl Job for EnqueueDuePolls {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "enqueue_due_polls";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("*/10 * * * * *"));

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
        let mut enqueued = 0;
        loop {
            let mut tx = attempt.begin().await?;
            let fallback = context.settings.poll_slow;
            let due = linked_accounts::take_due_polls(&mut tx, BATCH, fallback).await?;
            let polls: Vec<NewJob> = due
                .iter()
                .map(|account| {
                    let poll = NewJob::new(&PollSyncStatus {
                        account_id: account.id,
                    })?;
                    Ok(poll.organization(&account.organization_id))
                })
                .collect::<Result<_, queue::Error>>()?;
            queue::enqueue_many(&mut tx, &polls).await?;
            enqueued += polls.len();
            if polls.len() < usize::from(BATCH) {
                return Ok(attempt
                    .complete(tx, json!({ "enqueued": enqueued }))
                    .await?);
            }
            tx.commit().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_empty() {
        assert_eq!(serde_json::to_value(EnqueueDuePolls {}).unwrap(), json!({}));
    }
}
