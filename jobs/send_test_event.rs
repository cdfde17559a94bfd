//! Sends an endpoint an event that means nothing, to see whether it arrives.
//!
//! It is sent once, also to an endpoint that is disabled, and changes nothing of the endpoint. What came of it is the
//! job's result, whether it was taken or not. If the process dies meanwhile it is sent again, under the same id.

use std::time::Duration;

use queue::{Attempt, Job, Lane, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{EndpointId, webhook_endpoints};

use crate::deliver_event::send;
use crate::{JobContext, JobError};

/// The type of the event.
pub const EVENT_TYPE: &str = "endpoint.test";

/// Which endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendTestEvent {
    /// Its id.
    pub endpoint_id: EndpointId,
}

impl Job for SendTestEvent {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "send_test_event";
    const QUEUE: Queue = Queue::OUTBOUND;
    const PRIORITY: i16 = 10;
    const RETRY: RetryPolicy = RetryPolicy::QUICK;
    const TIMEOUT: Duration = Duration::from_mins(2);

    fn lane(&self) -> Lane {
        Lane::endpoint(self.endpoint_id.0)
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let opened = webhook_endpoints::open(&mut conn, &context.keyring, self.endpoint_id).await?;
        drop(conn);
        let endpoint = opened.ok_or_else(|| {
            JobError::cancel("endpoint_not_found", "there is no such webhook endpoint")
        })?;
        let timestamp = chrono::DateTime::from_timestamp(endpoint.now, 0);
        let body = json!({
            "type": EVENT_TYPE,
            "timestamp": timestamp,
            "data": { "endpoint_id": self.endpoint_id },
        });
        let id = format!("test_{}", attempt.job_id());
        let result = match send(context, &endpoint, &id, &body.to_string()).await {
            Ok(status) => json!({ "delivered": true, "http_status": status }),
            Err(error) => json!({
                "delivered": false,
                "http_status": error.status(),
                "error": error.to_string(),
            }),
        };
        let tx = attempt.begin().await?;
        Ok(attempt.complete(tx, result).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({ "endpoint_id": "00000000-0000-0000-0000-000000000007" });

        let job: SendTestEvent = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }
}
