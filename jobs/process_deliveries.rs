//! Acts on the webhooks of one shard of the inbox, oldest first, until none is left.
//!
//! A webhook is a hint: it raises marks, brings a token, or leads to a poll; nothing is done because of it that a poll
//! would not do later. Each delivery is judged in a transaction of its own, effects, verdict and enqueued jobs
//! together: so one that makes no sense does not block the others, and a crash repeats at most one, harmlessly.
//!
//! What comes while this job runs leads to one more, since only *pending* ones are unique.
//!
//! An account that is being deleted is left alone. One that is not linked yet needs nothing kept for later: linking it
//! leads to a poll, which tells as much.

use std::time::Duration;

use merge_client::webhook::{Event, EventKind, ModelSyncStatus};
use queue::{Attempt, Job, Lane, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::webhook_deliveries::{self, Delivery, Judgement, Verdict};
use tokio::time::Instant;

use crate::{JobContext, JobError};

mod acting;
mod finding;

/// Deliveries read at once.
const BATCH: u16 = 100;

/// Which shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessDeliveries {
    /// Below [`webhook_deliveries::SHARDS`].
    pub shard: u32,
}

impl Job for ProcessDeliveries {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "process_deliveries";
    const QUEUE: Queue = Queue::WEBHOOKS;
    const TIMEOUT: Duration = Duration::from_mins(2);

    fn lane(&self) -> Lane {
        Lane::webhooks(self.shard)
    }

    fn unique_key(&self) -> Option<String> {
        Some(self.shard.to_string())
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let deadline = Instant::now() + context.settings.turn;
        let mut judged = 0;
        loop {
            let mut conn = context.pool.acquire().await?;
            let keyring = &context.keyring;
            let waiting =
                webhook_deliveries::waiting(&mut conn, keyring, self.shard, BATCH).await?;
            drop(conn);
            if waiting.is_empty() {
                let tx = attempt.begin().await?;
                return Ok(attempt.complete(tx, json!({ "judged": judged })).await?);
            }
            for delivery in &waiting {
                process(context, attempt, delivery).await?;
                judged += 1;
                if attempt.cancellation().is_cancelled() || Instant::now() >= deadline {
                    return Err(JobError::yield_turn("more deliveries are waiting"));
                }
            }
        }
    }
}

/// A verdict and its grounds.
struct Decision {
    verdict: Verdict,
    detail: &'static str,
}

impl Decision {
    fn processed(detail: &'static str) -> Self {
        Self {
            verdict: Verdict::Processed,
            detail,
        }
    }

    fn ignored(detail: &'static str) -> Self {
        Self {
            verdict: Verdict::Ignored,
            detail,
        }
    }
}

/// Judges one delivery. An error that would come again at each attempt becomes a verdict, too: else one delivery
/// could hold up its shard for ever.
async fn process(
    context: &JobContext,
    attempt: &Attempt,
    delivery: &Delivery,
) -> Result<(), JobError> {
    let Some(event) = delivery.bytes().map(Event::parse) else {
        return unreadable(attempt, delivery, "no key opens it").await;
    };
    let Ok(event) = event else {
        return unreadable(attempt, delivery, "no JSON object").await;
    };
    match process_event(context, attempt, delivery, &event).await {
        Err(JobError::Cancel { class, error }) => {
            tracing::error!(delivery.id = %delivery.id, class, %error, "cannot act on a delivery");
            unreadable(attempt, delivery, class).await
        }
        other => other,
    }
}

async fn unreadable(attempt: &Attempt, delivery: &Delivery, detail: &str) -> Result<(), JobError> {
    let mut tx = attempt.begin().await?;
    let judgement = Judgement {
        verdict: Verdict::Unparseable,
        detail: Some(detail),
        event: None,
        merge_account_id: None,
        account_id: None,
    };
    webhook_deliveries::judge(&mut tx, delivery.id, &judgement).await?;
    Ok(tx.commit().await?)
}

async fn process_event(
    context: &JobContext,
    attempt: &Attempt,
    delivery: &Delivery,
    event: &Event,
) -> Result<(), JobError> {
    let mut tx = attempt.begin().await?;
    let mut account_id = None;
    let decision = if delivery.twin_was_processed && tells_its_own_time(event) {
        Decision {
            verdict: Verdict::Duplicate,
            detail: "the same was processed before",
        }
    } else if matches!(event.kind, EventKind::TestPing) {
        Decision::ignored("a test")
    } else {
        match finding::find_account(&mut tx, context, event).await? {
            None => Decision {
                verdict: Verdict::UnknownAccount,
                detail: "no such account here",
            },
            Some(account) => {
                account_id = Some(account.id);
                acting::act(&mut tx, context, event, &account).await?
            }
        }
    };
    let judgement = Judgement {
        verdict: decision.verdict,
        detail: Some(decision.detail),
        event: Some(event.name.as_str()).filter(|name| !name.is_empty()),
        merge_account_id: event.account.id.as_deref(),
        account_id,
    };
    webhook_deliveries::judge(&mut tx, delivery.id, &judgement).await?;
    Ok(tx.commit().await?)
}

/// Whether the same body can only mean the same. One that says "done" and no time may be news again.
fn tells_its_own_time(event: &Event) -> bool {
    match &event.kind {
        EventKind::SyncCompleted { models, .. } => {
            models.iter().any(|mark| mark.last_sync_finished.is_some())
        }
        EventKind::ModelSynced {
            status: ModelSyncStatus::Object(status),
            ..
        } => status.last_sync_finished.is_some(),
        EventKind::ModelSynced {
            status: ModelSyncStatus::Text(_),
            ..
        }
        | EventKind::Linked { .. }
        | EventKind::TestPing
        | EventKind::Other => false,
    }
}

#[cfg(test)]
mod tests;
