//! Acts on the webhooks of one shard of the inbox, oldest first, until none is left.
//!
//! A webhook is a hint: it raises marks, brings a token or a record, or leads to a poll; nothing is done because of it
//! that a poll would not do later. Deliveries are judged in batches, each one transaction: effects, verdicts and the
//! jobs they cause together. If a batch cannot be worked off as a whole, each of its deliveries gets a transaction of
//! its own, so that one which makes no sense neither blocks the others nor is tried for ever. A crash repeats a batch
//! that had no effect.
//!
//! What comes while this job runs leads to one more, since only *pending* ones are unique.
//!
//! An account that is being deleted is left alone. What is about an account that is not linked yet is parked, and
//! waits again once it is (see [`unpark`]).

use std::collections::HashMap;
use std::time::Duration;

use merge_client::webhook::{Event, EventKind, ModelSyncStatus};
use queue::{Attempt, Job, Lane, NewJob, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use store::AccountId;
use store::webhook_deliveries::{self, Delivery, Judgement, Twin};
use tokio::time::Instant;

use crate::{JobContext, JobError};

mod acting;
mod finding;

use self::acting::{Actor, Decision};
use self::finding::Accounts;

/// Deliveries judged in one transaction, at most.
const BATCH: u16 = 200;

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
            settle(context, attempt, &waiting).await?;
            judged += waiting.len();
            if attempt.cancellation().is_cancelled() || Instant::now() >= deadline {
                return Err(JobError::yield_turn("more deliveries are waiting"));
            }
        }
    }
}

impl ProcessDeliveries {
    /// Jobs that drain these shards.
    pub fn of_shards(shards: &[u32]) -> Result<Vec<NewJob>, queue::Error> {
        shards
            .iter()
            .map(|&shard| NewJob::new(&Self { shard }))
            .collect()
    }
}

/// Lets wait again what was parked for an account that was just linked; gives the jobs that are to be enqueued in the
/// same transaction.
///
/// What is judged meanwhile by someone who does not see the link yet is not lost: linking leads to a poll.
pub(crate) async fn unpark(
    conn: &mut PgConnection,
    account_id: AccountId,
    merge_account_id: Option<&str>,
) -> Result<Vec<NewJob>, JobError> {
    let shards = webhook_deliveries::unpark(conn, account_id, merge_account_id).await?;
    Ok(ProcessDeliveries::of_shards(&shards)?)
}

/// Judges deliveries: all in one transaction, or if an error would come again at each attempt, one by one.
async fn settle(
    context: &JobContext,
    attempt: &Attempt,
    deliveries: &[Delivery],
) -> Result<(), JobError> {
    match judge(context, attempt, deliveries).await {
        Err(error) if is_lasting(&error) => {
            for delivery in deliveries {
                settle_one(context, attempt, delivery).await?;
            }
            Ok(())
        }
        other => other,
    }
}

/// Judges one delivery, even if nothing can be done about it.
async fn settle_one(
    context: &JobContext,
    attempt: &Attempt,
    delivery: &Delivery,
) -> Result<(), JobError> {
    match judge(context, attempt, std::slice::from_ref(delivery)).await {
        Err(error) if is_lasting(&error) => {
            tracing::error!(delivery.id = %delivery.id, %error, "cannot act on a delivery");
            let mut tx = attempt.begin().await?;
            let judgement = Decision::unparseable("it cannot be acted on").judgement(None, vec![]);
            let judged = [(delivery, judgement)];
            webhook_deliveries::judge(&mut tx, &judged).await?;
            tx.commit().await?;
            count(&judged[0].1);
            Ok(())
        }
        other => other,
    }
}

/// Whether the same deliveries would lead to the same error.
fn is_lasting(error: &JobError) -> bool {
    match error {
        JobError::Cancel { .. } => true,
        JobError::Retry { error, .. } => error
            .downcast_ref::<store::Error>()
            .is_some_and(|error| !error.is_transient()),
        JobError::Snooze { .. } | JobError::Park { .. } | JobError::Fenced => false,
    }
}

async fn judge(
    context: &JobContext,
    attempt: &Attempt,
    deliveries: &[Delivery],
) -> Result<(), JobError> {
    let events: Vec<Result<Event, &str>> = deliveries.iter().map(parse).collect();
    let readable: Vec<Option<&Event>> = events.iter().map(|event| event.as_ref().ok()).collect();
    let mut tx = attempt.begin().await?;
    let accounts = Accounts::hold(&mut tx, context, &readable).await?;
    let mut actor = Actor::new(&mut tx, context, accounts);
    let mut seen: HashMap<&[u8], Twin> = HashMap::new();
    let mut decisions = Vec::with_capacity(deliveries.len());
    for (index, (delivery, event)) in deliveries.iter().zip(&events).enumerate() {
        let decision = match event {
            Err(reason) => Decision::unparseable(reason),
            Ok(event) => match twin(delivery, event, &seen) {
                Some(twin) => Decision::duplicate(twin),
                None => actor.act(index, event).await?,
            },
        };
        if let Some(traceparent) = &delivery.trace_context {
            for job in &mut actor.jobs[decision.jobs.clone()] {
                *job = job.clone().trace_context(traceparent);
            }
        }
        seen.entry(&delivery.body_hash).or_insert(Twin {
            id: delivery.id,
            account_id: decision.account_id,
        });
        decisions.push(decision);
    }

    let jobs = actor.jobs;
    let enqueued = queue::enqueue_many(&mut tx, &jobs).await?;
    let judgements: Vec<(&Delivery, Judgement<'_>)> = decisions
        .into_iter()
        .enumerate()
        .map(|(index, decision)| {
            let job_ids = enqueued[decision.jobs.clone()].iter().map(|job| job.id.0);
            let judgement = decision.judgement(readable[index], job_ids.collect());
            (&deliveries[index], judgement)
        })
        .collect();
    webhook_deliveries::judge(&mut tx, &judgements).await?;
    tx.commit().await?;
    for (_, judgement) in &judgements {
        count(judgement);
    }
    Ok(())
}

fn count(judgement: &Judgement<'_>) {
    metrics::counter!("syncline_webhook_judged_total", "verdict" => judgement.verdict.as_str())
        .increment(1);
}

fn parse(delivery: &Delivery) -> Result<Event, &'static str> {
    let body = delivery.bytes().ok_or("no key opens it")?;
    Event::parse(body).map_err(|_| "no JSON object")
}

/// Another delivery that said the same, so that this one is to be put aside. `seen` are those of this transaction.
fn twin(delivery: &Delivery, event: &Event, seen: &HashMap<&[u8], Twin>) -> Option<Twin> {
    if delivery.is_replay {
        return None;
    }
    // Of those that waited together the first is acted on later than all of them arrived.
    let waited = seen.get(&*delivery.body_hash).copied();
    waited.or_else(|| delivery.twin.filter(|_| tells_its_own_time(event)))
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
        EventKind::RecordChanged { record, .. } => record
            .as_ref()
            .is_some_and(|record| record.modified_at.is_some()),
        // The same token again; a later one must not be lost to it.
        EventKind::Linked { account_token, .. } => account_token.is_some(),
        EventKind::ModelSynced {
            status: ModelSyncStatus::Text(_),
            ..
        }
        | EventKind::AccountChanged
        | EventKind::TestPing
        | EventKind::Other => false,
    }
}

#[cfg(test)]
mod tests;
