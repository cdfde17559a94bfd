//! What was sent, and what came of it. The last ten thousand deliveries are kept, the sums for ever.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const KEPT: usize = 10_000;

/// One delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryView {
    /// The sandbox's own number of it; it is not in the body.
    pub id: Uuid,
    /// When it was due, on the sandbox's clock.
    pub created_at: DateTime<Utc>,
    /// Such as `Employee.synced`.
    pub event: String,
    /// The account it is about, if any.
    pub linked_account_id: Option<Uuid>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made until now.
    pub attempts: Vec<AttemptView>,
    /// The body as sent.
    pub body: String,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptView {
    /// When it began, on the sandbox's clock.
    pub at: DateTime<Utc>,
    /// Real time until the answer, or the failure, in microseconds.
    pub latency_us: u64,
    /// The status answered.
    pub status: Option<u16>,
    /// `timeout` or `connection`, when there was no answer.
    pub error: Option<String>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Attempts go on.
    Pending,
    /// Acknowledged.
    Delivered,
    /// Answered with 4xx; dropped for good.
    Refused,
    /// All attempts failed.
    GivenUp,
    /// Never sent, by a fault.
    Dropped,
}

/// Sums over all deliveries since the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookSummary {
    /// Deliveries by state.
    pub deliveries: BTreeMap<DeliveryState, u64>,
    /// Attempts by answer: a status, `timeout` or `connection`.
    pub answers: BTreeMap<String, u64>,
    /// Median real time to an answer below 400, in microseconds; 0 before the first.
    pub acknowledged_p50_us: u64,
    /// 99th percentile of it.
    pub acknowledged_p99_us: u64,
    /// The longest.
    pub acknowledged_max_us: u64,
}

#[derive(Debug, Default)]
pub(crate) struct DeliveryLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    order: VecDeque<Uuid>,
    deliveries: HashMap<Uuid, Entry>,
    states: BTreeMap<DeliveryState, u64>,
    answers: BTreeMap<String, u64>,
    latencies_us: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    view: DeliveryView,
    body: Bytes,
}

impl DeliveryLog {
    pub(super) fn open(
        &self,
        id: Uuid,
        created_at: DateTime<Utc>,
        event: String,
        linked_account_id: Option<Uuid>,
        body: Bytes,
        state: DeliveryState,
    ) {
        let view = DeliveryView {
            id,
            created_at,
            event,
            linked_account_id,
            state,
            attempts: Vec::new(),
            body: String::new(),
        };
        let mut log = self.lock();
        log.order.push_back(id);
        log.deliveries.insert(id, Entry { view, body });
        *log.states.entry(state).or_default() += 1;
        if log.order.len() > KEPT
            && let Some(oldest) = log.order.pop_front()
        {
            log.deliveries.remove(&oldest);
        }
    }

    pub(super) fn note(&self, id: Uuid, attempt: AttemptView) {
        let mut log = self.lock();
        let answer = match (attempt.status, &attempt.error) {
            (Some(status), _) => status.to_string(),
            (None, Some(error)) => error.clone(),
            (None, None) => "none".to_owned(),
        };
        *log.answers.entry(answer).or_default() += 1;
        if attempt.status.is_some_and(|status| status < 400) {
            log.latencies_us.push(attempt.latency_us);
        }
        if let Some(entry) = log.deliveries.get_mut(&id) {
            entry.view.attempts.push(attempt);
        }
    }

    pub(super) fn close(&self, id: Uuid, state: DeliveryState) {
        let mut log = self.lock();
        if let Some(pending) = log.states.get_mut(&DeliveryState::Pending) {
            *pending = pending.saturating_sub(1);
        }
        *log.states.entry(state).or_default() += 1;
        if let Some(entry) = log.deliveries.get_mut(&id) {
            entry.view.state = state;
        }
    }

    pub(super) fn content(&self, id: Uuid) -> Option<(String, Option<Uuid>, Bytes)> {
        let log = self.lock();
        let entry = log.deliveries.get(&id)?;
        Some((
            entry.view.event.clone(),
            entry.view.linked_account_id,
            entry.body.clone(),
        ))
    }

    /// The deliveries still kept, oldest first, from that place in the order on.
    pub(crate) fn list(&self, offset: usize, limit: usize) -> Vec<DeliveryView> {
        let log = self.lock();
        log.order
            .iter()
            .skip(offset)
            .take(limit)
            .filter_map(|id| log.deliveries.get(id))
            .map(|entry| DeliveryView {
                body: String::from_utf8_lossy(&entry.body).into_owned(),
                ..entry.view.clone()
            })
            .collect()
    }

    pub(crate) fn summary(&self) -> WebhookSummary {
        let (states, answers, mut latencies) = {
            let log = self.lock();
            (
                log.states.clone(),
                log.answers.clone(),
                log.latencies_us.clone(),
            )
        };
        latencies.sort_unstable();
        let at = |percent: usize| {
            let place = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
            latencies.get(place).copied().unwrap_or(0)
        };
        WebhookSummary {
            deliveries: states,
            answers,
            acknowledged_p50_us: at(50),
            acknowledged_p99_us: at(99),
            acknowledged_max_us: at(100),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
