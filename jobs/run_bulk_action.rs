//! Does one action to all jobs of a filter, in batches, as somebody confirmed it.
//!
//! Each batch is one fenced transaction with the place it reached, so whatever runs again goes on behind the last batch,
//! and no job is acted on twice. It never touches itself: what it acts on is older than the confirmation. Somebody may
//! stop it between two batches. When others hold the locks it needs, it gives way and comes back a little later.

use std::time::Duration;

use queue::admin::Progress;
use queue::admin::bulk_actions::{self, BulkAction, BulkId, State};
use queue::{Attempt, FencedTx, Job, Lane, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::{JobContext, JobError};

/// Jobs acted on in one transaction.
const BATCH: u16 = 500;

/// After others were in the way.
const PAUSE: Duration = Duration::from_secs(1);

/// Which action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunBulkAction {
    /// Its row, which holds the filter and how far it has come.
    pub bulk_action_id: BulkId,
}

impl Job for RunBulkAction {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "run_bulk_action";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const PRIORITY: i16 = 20;
    const TIMEOUT: Duration = Duration::from_mins(10);

    fn lane(&self) -> Lane {
        Lane::system()
    }

    fn unique_key(&self) -> Option<String> {
        Some(self.bulk_action_id.to_string())
    }

    fn limit_key(&self) -> Option<String> {
        Some(self.bulk_action_id.to_string())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let deadline = Instant::now() + context.settings.turn;
        loop {
            let mut tx = attempt.begin().await?;
            let Some(action) = self.running(&mut tx).await? else {
                let result = json!({ "was_running": false });
                return Ok(attempt.complete(tx, result).await?);
            };
            let (progress, ended) = advance(&mut tx, &action).await?;
            bulk_actions::save(&mut tx, self.bulk_action_id, progress, ended).await?;
            if ended.is_some() {
                let result = json!({ "done": progress.done, "skipped": progress.skipped });
                attempt.complete(tx, result).await?;
                context.queue.wake();
                return Ok(());
            }
            tx.commit().await?;
            context.queue.wake();
            if attempt.cancellation().is_cancelled() || Instant::now() >= deadline {
                return Err(JobError::yield_turn("others of the lane have their turn"));
            }
        }
    }
}

impl RunBulkAction {
    async fn running(&self, tx: &mut FencedTx) -> Result<Option<BulkAction>, JobError> {
        let action = bulk_actions::find(tx, self.bulk_action_id).await?;
        Ok(action.filter(|action| action.state == State::Running))
    }
}

/// One batch, unless somebody asked for the end.
async fn advance(
    tx: &mut FencedTx,
    action: &BulkAction,
) -> Result<(Progress, Option<State>), JobError> {
    if action.stopped_by.is_some() {
        return Ok((action.progress, Some(State::Stopped)));
    }
    let registry = crate::registry();
    let batch = action.bulk.run_batch(tx, &registry, action.progress, BATCH);
    match batch.await {
        Ok(progress) => Ok((progress, progress.is_complete.then_some(State::Done))),
        Err(queue::Error::Database { operation, source }) if is_in_the_way(&source) => {
            Err(JobError::Snooze {
                after: PAUSE,
                reason: format!("others were in the way: cannot {operation}"),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Did somebody else hold a lock for too long?
fn is_in_the_way(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("40") || code.starts_with("55"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({ "bulk_action_id": "00000000-0000-0000-0000-000000000007" });

        let job: RunBulkAction = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }
}
