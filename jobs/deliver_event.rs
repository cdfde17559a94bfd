//! Delivers the next event of the feed to an endpoint.
//!
//! Which event that is, the endpoint's position says, not the payload. The transaction that ends the job moves the
//! position past the event, and enqueues the delivery of the one after it, if that is there already; so an endpoint gets
//! each event in the order of the feed, and the next one only once it has taken the last. If the process dies in
//! between, the event is sent again, under the same `webhook-id`: at least once.
//!
//! An event that is not taken is tried again, with growing pauses, until it is, or until the endpoint has been failing
//! for too long and is disabled. Its position stays, so nothing is lost, and what comes meanwhile waits in the feed. What
//! else is enqueued for the endpoint while it rests does nothing.
//!
//! It sends nothing that is not in the feed, and stores nothing of what is answered but the status.

use std::time::Duration;

use event_sender::{Message, Secret, SendError};
use queue::{Attempt, FencedTx, Job, Lane, NewJob, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use store::EndpointId;
use store::events::{self, Event, FeedFilter, FeedPage};
use store::webhook_endpoints::{self, DisabledReason, Endpoint, Failed, OpenEndpoint};
use url::Url;

use crate::{JobContext, JobError};

/// Which endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverEvent {
    /// Its id.
    pub endpoint_id: EndpointId,
}

impl Job for DeliverEvent {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "deliver_event";
    const QUEUE: Queue = Queue::OUTBOUND;
    /// Within a few hours at the cap; the endpoint is disabled long before they are used up.
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 1_000,
        base: Duration::from_secs(5),
        cap: Duration::from_hours(4),
    };
    const TIMEOUT: Duration = Duration::from_mins(2);

    fn lane(&self) -> Lane {
        Lane::endpoint(self.endpoint_id.0)
    }

    fn unique_key(&self) -> Option<String> {
        Some(self.endpoint_id.to_string())
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let opened = webhook_endpoints::open(&mut conn, &context.keyring, self.endpoint_id).await?;
        // One that rests is left to the job that failed, however many there are: after a crash there may be two.
        let job_id = attempt.job_id().0;
        let is_ours = |endpoint: &OpenEndpoint| {
            !endpoint.is_disabled && endpoint.resting_for.is_none_or(|job| job == job_id)
        };
        let Some(endpoint) = opened.filter(is_ours) else {
            let tx = attempt.begin().await?;
            return Ok(attempt.complete(tx, json!({ "delivered": false })).await?);
        };
        let found = next_events(&mut conn, &endpoint).await?;
        drop(conn);
        match found {
            FeedPage::Events { events, next } => match events.split_first() {
                Some((event, rest)) => {
                    self.deliver(context, attempt, &endpoint, event, !rest.is_empty())
                        .await
                }
                None => self.pass_by(attempt, next).await,
            },
            FeedPage::Forgotten => self.give_up(attempt).await,
            FeedPage::NeverGiven => Err(JobError::cancel(
                "position_unknown",
                "the endpoint is further than the feed; enable it from now",
            )),
        }
    }
}

/// The event to deliver, and the one after it.
async fn next_events(
    conn: &mut PgConnection,
    endpoint: &OpenEndpoint,
) -> Result<FeedPage, store::Error> {
    let filter = FeedFilter {
        organization_id: endpoint.organization_id.as_deref(),
        event_types: endpoint.event_types.as_deref(),
        after: Some(endpoint.position),
    };
    events::read(conn, filter, 2).await
}

impl DeliverEvent {
    /// The job that delivers to an endpoint; only the endpoint's organization may see it.
    ///
    /// # Errors
    /// [`queue::Error::Encode`], which cannot be.
    pub fn to(
        endpoint_id: EndpointId,
        organization_id: Option<&str>,
    ) -> Result<NewJob, queue::Error> {
        let job = NewJob::new(&Self { endpoint_id })?;
        Ok(match organization_id {
            Some(organization_id) => job.organization(organization_id),
            None => job,
        })
    }

    async fn deliver(
        &self,
        context: &JobContext,
        attempt: &mut Attempt,
        endpoint: &OpenEndpoint,
        event: &Event,
        has_more: bool,
    ) -> Result<(), JobError> {
        let sent = send(context, endpoint, &message_id(event), &body(event)?).await;
        count(&sent);
        let status = match sent {
            Ok(status) => status,
            Err(error) => return self.failed(context, attempt, error).await,
        };
        let mut tx = attempt.begin().await?;
        webhook_endpoints::delivered(&mut tx, self.endpoint_id, event.position).await?;
        if has_more {
            let next = Self::to(self.endpoint_id, endpoint.organization_id.as_deref())?;
            queue::enqueue(&mut tx, &next.own_trace()).await?;
        }
        let result = json!({
            "delivered": true,
            "event_id": event.position,
            "event_type": event.event_type,
            "http_status": status,
        });
        Ok(attempt.complete(tx, result).await?)
    }

    /// Nothing was for it: a filter was changed, or an account was deleted.
    async fn pass_by(&self, attempt: &mut Attempt, position: i64) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        webhook_endpoints::pass_by(&mut tx, self.endpoint_id, position).await?;
        Ok(attempt.complete(tx, json!({ "delivered": false })).await?)
    }

    /// Notes the failure, and says when it is tried again, if it is.
    async fn failed(
        &self,
        context: &JobContext,
        attempt: &mut Attempt,
        error: SendError,
    ) -> Result<(), JobError> {
        // As short as it likes, we do not come faster than we would by ourselves.
        let pause = Self::RETRY.ceiling(attempt.number());
        let asked = error.retry_after().map(|asked| asked.max(Self::RETRY.base));
        let failed = Failed {
            job_id: attempt.job_id().0,
            status: error.status(),
            error: &error.to_string(),
            retry_after: asked.unwrap_or(pause),
            is_gone: matches!(error, SendError::Gone),
        };
        let mut tx = attempt.begin().await?;
        let disabled =
            webhook_endpoints::failed(&mut tx, self.endpoint_id, &failed, context.give_up_after)
                .await?;
        if let Some(reason) = disabled {
            return self.disabled(attempt, tx, reason).await;
        }
        tx.commit().await?;
        Err(match asked {
            Some(after) => JobError::Snooze {
                after,
                reason: format!("{error}, and asks to wait"),
            },
            None => JobError::Retry {
                class: error.class(),
                http_status: error.status(),
                error: error.into(),
            },
        })
    }

    /// Its next events are kept no longer: somebody has to decide how to go on.
    async fn give_up(&self, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        if webhook_endpoints::forget(&mut tx, self.endpoint_id).await? {
            return self
                .disabled(attempt, tx, DisabledReason::EventsForgotten)
                .await;
        }
        Ok(attempt.complete(tx, json!({ "delivered": false })).await?)
    }

    /// Ends the job, and raises the alarm: nothing is sent to the endpoint until somebody enables it.
    async fn disabled(
        &self,
        attempt: &mut Attempt,
        tx: FencedTx,
        reason: DisabledReason,
    ) -> Result<(), JobError> {
        let result = json!({ "delivered": false, "disabled": reason });
        attempt.complete(tx, result).await?;
        metrics::counter!("syncline_endpoints_disabled_total", "reason" => reason.as_str())
            .increment(1);
        tracing::error!(
            endpoint.id = %self.endpoint_id,
            reason = reason.as_str(),
            "an endpoint was disabled and gets no more events; see `syncline endpoints list`"
        );
        Ok(())
    }
}

/// Has an endpoint delivered to at once, also if an attempt waits for its time.
///
/// # Errors
/// [`queue::Error::Database`].
pub async fn deliver_now(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<(), queue::Error> {
    let job = DeliverEvent::to(endpoint.id, endpoint.organization_id.as_deref())?;
    let enqueued = queue::enqueue(conn, &job).await?;
    if enqueued.is_new {
        return Ok(());
    }
    match queue::admin::retry_now(conn, enqueued.id).await {
        // It does not wait any more.
        Ok(()) | Err(queue::Error::Refused { .. } | queue::Error::NoSuchJob { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sends a message to an endpoint, signed with each of its secrets.
pub(crate) async fn send(
    context: &JobContext,
    endpoint: &OpenEndpoint,
    id: &str,
    body: &str,
) -> Result<u16, SendError> {
    // It was read before it was stored.
    let url: Url = endpoint
        .url
        .parse()
        .map_err(|_| event_sender::Refusal::NotHttps)?;
    let secrets: Vec<Secret> = endpoint
        .secrets
        .iter()
        .map(|bytes| Secret::from_bytes(bytes.clone()))
        .collect();
    let message = Message {
        id,
        timestamp: endpoint.now,
        body,
    };
    context.sender.send(&url, &secrets, message).await
}

fn count(sent: &Result<u16, SendError>) {
    let outcome = match sent {
        Ok(_) => "delivered",
        Err(error) => error.class(),
    };
    metrics::counter!("syncline_events_sent_total", "outcome" => outcome).increment(1);
}

/// The same however often the event is sent, and to whichever endpoint.
fn message_id(event: &Event) -> String {
    format!("evt_{}", event.position)
}

/// As the convention has it: the type, the time of what is told, and the event as it is in the feed.
fn body(event: &Event) -> Result<String, JobError> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        timestamp: chrono::DateTime<chrono::Utc>,
        data: &'a Event,
    }
    let body = Body {
        r#type: event.event_type.as_str(),
        timestamp: event.occurred_at,
        data: event,
    };
    serde_json::to_string(&body).map_err(|error| JobError::cancel("encode", error))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::AccountId;
    use store::events::EventType;

    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({ "endpoint_id": "00000000-0000-0000-0000-000000000007" });

        let job: DeliverEvent = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    }

    #[test]
    fn the_body_is_frozen() {
        let event = Event {
            position: 7,
            event_type: EventType::RecordUpdated,
            occurred_at: DateTime::from_timestamp_millis(1_770_000_000_123).unwrap(),
            organization_id: "org_1".to_owned(),
            account_id: AccountId(uuid::Uuid::nil()),
            model_id: Some("hris.Employee".to_owned()),
            merge_id: Some("r1".to_owned()),
            detail: None,
        };

        assert_eq!(message_id(&event), "evt_7");
        assert_eq!(
            body(&event).unwrap(),
            concat!(
                r#"{"type":"record.updated","timestamp":"2026-02-02T02:40:00.123Z","data":{"id":7,"#,
                r#""type":"record.updated","occurred_at":"2026-02-02T02:40:00.123Z","organization_id":"org_1","#,
                r#""linked_account_id":"00000000-0000-0000-0000-000000000000","model_id":"hris.Employee","#,
                r#""record_id":"r1"}}"#
            )
        );
    }

    #[test]
    fn attempts_last_longer_than_any_patience() {
        // The shortest pauses that are not a miracle: a tenth of the ceilings.
        let total: Duration = (1..DeliverEvent::RETRY.max_attempts)
            .map(|attempt| DeliverEvent::RETRY.ceiling(attempt) / 10)
            .sum();

        assert!(total > Duration::from_hours(10 * 24), "{total:?}");
    }
}
