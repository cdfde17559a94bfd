//! The tick that looks whether Merge takes our API key again, while it does not; and that says so until then.
//!
//! When Merge refuses the key, no account is to blame, and every call would be refused, while refused calls of a fleet
//! are few before Merge blocks its address. So whoever finds out pauses the queue of the sync jobs, for all processes;
//! this job, in another queue, goes on asking, and resumes it. A pause by a person is left alone.

use queue::pause::{self, Pause, Scope};
use queue::{Attempt, Job, Lane, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{JobContext, JobError};

/// Who pauses.
const PAUSED_BY: &str = "syncline: API key";

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckKey {}

impl Job for CheckKey {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "check_key";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("10 * * * * *"));

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
        let is_refused = match pause_of_sync(context).await? {
            Some(pause) if pause.paused_by == PAUSED_BY => is_refused(context, attempt).await?,
            _ => false,
        };
        let tx = attempt.begin().await?;
        Ok(attempt
            .complete(tx, json!({ "is_refused": is_refused }))
            .await?)
    }
}

/// Asks again, and resumes when the answer is good.
async fn is_refused(context: &JobContext, attempt: &Attempt) -> Result<bool, JobError> {
    match context.ask(attempt, context.merge.check_key()).await? {
        Ok(()) => {
            pause::resume(&context.queue, &Scope::Queue(Queue::SYNC), PAUSED_BY).await?;
            Ok(false)
        }
        Err(merge_client::Error::Unauthorized { .. }) => {
            alarm();
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// Stops every call about an account until Merge takes our key again.
pub(crate) async fn stop_syncing(context: &JobContext) -> Result<(), JobError> {
    if pause_of_sync(context).await?.is_none() {
        alarm();
        let scope = Scope::Queue(Queue::SYNC);
        let reason = "Merge refuses our API key; resumed by itself once it is taken";
        pause::pause(&context.queue, &scope, PAUSED_BY, reason, None).await?;
    }
    Ok(())
}

async fn pause_of_sync(context: &JobContext) -> Result<Option<Pause>, JobError> {
    let pauses = pause::list(&context.pool).await?;
    Ok(pauses
        .into_iter()
        .find(|pause| pause.scope == Scope::Queue(Queue::SYNC)))
}

fn alarm() {
    tracing::error!(
        "Merge refuses our API key, so that nothing is synced; is MERGE_API_KEY right?"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_empty() {
        assert_eq!(serde_json::to_value(CheckKey {}).unwrap(), json!({}));
    }
}
