//! The tick that keeps the health of accounts known: enqueues a check for each account whose time has come.
//!
//! Taking an account sets its next time, at random around the interval, so that accounts which came together part. A
//! check that fails comes again at the next turn.

use queue::{Attempt, Job, Lane, NewJob, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::linked_accounts;

use crate::check_health::CheckHealth;
use crate::{JobContext, JobError};

/// Accounts taken in one transaction.
const BATCH: u16 = 500;

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnqueueDueChecks {}

impl Job for EnqueueDueChecks {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "enqueue_due_checks";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("20 * * * * *"));

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
            let interval = context.settings.check_interval;
            let due = linked_accounts::take_due_checks(&mut tx, BATCH, interval).await?;
            let checks: Vec<NewJob> = due
                .iter()
                .map(|account| {
                    let check = NewJob::new(&CheckHealth {
                        account_id: account.id,
                        is_told_deleted: false,
                    })?;
                    Ok(check.organization(&account.organization_id))
                })
                .collect::<Result<_, queue::Error>>()?;
            queue::enqueue_many(&mut tx, &checks).await?;
            enqueued += checks.len();
            if checks.len() < usize::from(BATCH) {
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
        assert_eq!(
            serde_json::to_value(EnqueueDueChecks {}).unwrap(),
            json!({})
        );
    }
}
