//! The tick that keeps events going out: enqueues a delivery for each endpoint that has events to come.
//!
//! It gives places in the feed to what was committed since, moves endpoints past what is not for them, and looks at
//! positions only: so a tick that is late or lost is made up by the next, and a delivery whose job is gone gets another.
//! An endpoint that rests after a failure is left to the job that failed.

use queue::{Attempt, Job, Lane, NewJob, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{events, webhook_endpoints};

use crate::deliver_event::DeliverEvent;
use crate::{JobContext, JobError};

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnqueueDueEvents {}

impl Job for EnqueueDueEvents {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "enqueue_due_events";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("*/5 * * * * *"));

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
        // Needs no fence: who else does it meanwhile does the same.
        let mut conn = context.pool.acquire().await?;
        while events::place(&mut conn).await? {}
        drop(conn);

        let mut tx = attempt.begin().await?;
        let due = webhook_endpoints::due(&mut tx).await?;
        let deliveries: Vec<NewJob> = due
            .iter()
            .map(|due| DeliverEvent::to(due.id, due.organization_id.as_deref()))
            .collect::<Result<_, _>>()?;
        queue::enqueue_many(&mut tx, &deliveries).await?;
        Ok(attempt
            .complete(tx, json!({ "enqueued": deliveries.len() }))
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_empty() {
        assert_eq!(
            serde_json::to_value(EnqueueDueEvents {}).unwrap(),
            json!({})
        );
    }
}
