//! How received webhooks become durable: they share commits, without waiting for each other.
//!
//! One task writes. While one commit is under way, what arrives gathers; the next commit takes all of it, in one
//! statement. Nobody waits for a timer: a delivery that comes alone is written at once, and the more come, the more
//! share a commit. (With a commit each, the disk sets the pace; with a timer, the timer does.)
//!
//! Whoever was told [`Ok`] is on disk. If a commit fails, those of that batch are told so, and no others; the sender
//! sends them again. What gathers is bounded, in number and in bytes: beyond that nothing is taken.
//!
//! The jobs that drain the inbox are enqueued *after* the commit, apart from it: with it, each commit would write the
//! job's unique key once more. One task enqueues for all that arrived meanwhile, at most every few milliseconds. A
//! process that is killed in between has left deliveries without a job: the next one looks for such when it starts,
//! and so does `jobs::maintain`, every minute.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use jobs::process_deliveries::ProcessDeliveries;
use queue::job::chain;
use sqlx::{Connection as _, PgConnection, PgPool};
use store::webhook_deliveries::{self, NewDelivery};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::telemetry::LogGate;

/// Deliveries that gather, at most.
const MOST_WAITING: usize = 1_024;
/// Deliveries of one commit, at most.
const MOST_AT_ONCE: usize = 512;
/// How long one commit may take, and how long a delivery may wait for its own; the sender waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// From one enqueueing of drains to the next.
const SPACING: Duration = Duration::from_millis(20);
/// The same after a failure.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Where deliveries are handed in; clones share it.
#[derive(Debug, Clone)]
pub struct Inbox {
    arrivals: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held by whoever runs the inbox.
    waiting: Mutex<mpsc::Receiver<Arrival>>,
    /// Bytes of bodies that there is room for.
    bytes: Arc<Semaphore>,
    drains: watch::Sender<Drains>,
}

/// A delivery on its way to the disk.
#[derive(Debug)]
struct Arrival {
    delivery: NewDelivery,
    kept: oneshot::Sender<Result<(), NotKept>>,
}

/// The shards that are to be drained.
#[derive(Debug)]
struct Drains {
    /// A bit for each.
    wanted: u32,
    /// Whether somebody is at it: enqueueing, or before the first look.
    is_under_way: bool,
}

/// Why a delivery is not kept, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// Too many are on their way already.
    Full,
    /// The database did not take it, or not in time.
    Failed,
}

/// Leave to hold the bytes of one body; given back when dropped.
#[derive(Debug)]
pub struct Room {
    bytes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Makes it larger; false when there is no more.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.bytes).try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

impl Inbox {
    /// With room for so many bytes of bodies at once. Nothing is written until somebody [`Self::run`]s it.
    pub fn new(bytes: usize) -> Self {
        let (arrivals, waiting) = mpsc::channel(MOST_WAITING);
        let shared = Shared {
            waiting: Mutex::new(waiting),
            bytes: Arc::new(Semaphore::new(bytes)),
            drains: watch::Sender::new(Drains {
                wanted: 0,
                is_under_way: true,
            }),
        };
        Self {
            arrivals,
            shared: Arc::new(shared),
        }
    }

    /// Room for a body, none at first.
    pub fn room(&self) -> Room {
        Room {
            bytes: Arc::clone(&self.shared.bytes),
            held: None,
        }
    }

    /// Keeps a delivery. [`Ok`] means that it is on disk; after an error it may be, too.
    ///
    /// # Errors
    /// [`NotKept`]; it should be sent again.
    pub async fn keep(&self, delivery: NewDelivery) -> Result<(), NotKept> {
        let (kept, answer) = oneshot::channel();
        self.arrivals
            .try_send(Arrival { delivery, kept })
            .map_err(|_| NotKept::Full)?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(NotKept::Failed),
        }
    }

    /// Writes what arrives, and has it drained, for ever. One runs it at a time.
    pub async fn run(&self, pool: PgPool, queue: queue::Client) {
        tokio::join!(self.write(&pool), self.enqueue_drains(&pool, &queue));
    }

    /// Waits until the drains of everything that was kept are enqueued.
    pub async fn settled(&self) {
        let mut drains = self.shared.drains.subscribe();
        let settled = drains.wait_for(|drains| drains.wanted == 0 && !drains.is_under_way);
        // The sender is ours.
        let _ = settled.await;
    }

    async fn write(&self, pool: &PgPool) {
        let mut waiting = self.shared.waiting.lock().await;
        let mut connection = None;
        let failures = LogGate::default();
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
            // Nobody waits any more for those that were in the queue for too long.
            batch.retain(|arrival: &Arrival| !arrival.kept.is_closed());
            let (deliveries, askers): (Vec<_>, Vec<_>) = batch
                .drain(..)
                .map(|arrival| (arrival.delivery, arrival.kept))
                .unzip();
            let shards = shards(&deliveries);
            let outcome = match commit(pool, &mut connection, deliveries).await {
                Ok(()) => {
                    self.want_drains(shards);
                    Ok(())
                }
                Err(error) => {
                    if let Some(left_out) = failures.pass() {
                        tracing::error!(error = chain(&*error), left_out, "cannot keep webhooks");
                    }
                    Err(NotKept::Failed)
                }
            };
            for asker in askers {
                // Who has left meanwhile is sent it again, and then it is a duplicate.
                let _ = asker.send(outcome);
            }
        }
    }

    fn want_drains(&self, shards: u32) {
        self.shared
            .drains
            .send_modify(|drains| drains.wanted |= shards);
    }

    async fn enqueue_drains(&self, pool: &PgPool, queue: &queue::Client) {
        // What a predecessor left when it was killed.
        let left = timeout(PATIENCE, waiting_shards(pool)).await;
        let left = left.unwrap_or_else(|late| Err(late.into()));
        if let Err(error) = &left {
            tracing::warn!(error = chain(&**error), "cannot look for waiting webhooks");
        }
        self.shared.drains.send_modify(|drains| {
            drains.wanted |= left.unwrap_or_default();
            drains.is_under_way = false;
        });
        let mut drains = self.shared.drains.subscribe();
        // The sender is ours, so this does not end.
        while drains.wait_for(|drains| drains.wanted != 0).await.is_ok() {
            let mut shards = 0;
            self.shared.drains.send_modify(|drains| {
                shards = std::mem::take(&mut drains.wanted);
                drains.is_under_way = true;
            });
            let enqueued = timeout(PATIENCE, enqueue(pool, shards)).await;
            let enqueued = enqueued.unwrap_or_else(|late| Err(late.into()));
            if enqueued.is_ok() {
                queue.wake();
            }
            self.shared.drains.send_modify(|drains| {
                drains.is_under_way = false;
                drains.wanted |= if enqueued.is_ok() { 0 } else { shards };
            });
            match enqueued {
                Ok(()) => sleep(SPACING).await,
                Err(error) => {
                    tracing::warn!(error = chain(&*error), "cannot have webhooks drained yet");
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Writes a batch in one commit, on a connection that is kept for the next as long as it works.
async fn commit(
    pool: &PgPool,
    connection: &mut Option<PgConnection>,
    deliveries: Vec<NewDelivery>,
) -> Result<(), BoxError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let insert = async {
        let mut open = match connection.take() {
            Some(open) => open,
            None => open_connection(pool).await?,
        };
        webhook_deliveries::insert(&mut open, deliveries).await?;
        Ok::<_, BoxError>(open)
    };
    *connection = Some(timeout(PATIENCE, insert).await??);
    metrics::counter!("syncline_webhook_commits_total").increment(1);
    Ok(())
}

/// A connection of the writer's own: no request makes webhooks wait, and nothing is asked of it between two commits.
async fn open_connection(pool: &PgPool) -> Result<PgConnection, BoxError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    // House-keeping does this, too; but perhaps nobody has kept house for days.
    webhook_deliveries::ensure_partitions(&mut connection).await?;
    Ok(connection)
}

fn shards(deliveries: &[NewDelivery]) -> u32 {
    let bits = deliveries.iter().map(|delivery| 1 << delivery.shard());
    bits.fold(0, |bits, bit| bits | bit)
}

async fn waiting_shards(pool: &PgPool) -> Result<u32, BoxError> {
    let shards = webhook_deliveries::waiting_shards(&mut *pool.acquire().await?).await?;
    Ok(shards.iter().fold(0, |bits, shard| bits | 1 << shard))
}

async fn enqueue(pool: &PgPool, shards: u32) -> Result<(), BoxError> {
    let shards: Vec<u32> = (0..u32::BITS)
        .filter(|shard| shards >> shard & 1 == 1)
        .collect();
    let jobs = ProcessDeliveries::of_shards(&shards)?;
    // One statement, so no transaction is needed that could be cut off half way.
    queue::enqueue_many(&mut *pool.acquire().await?, &jobs).await?;
    Ok(())
}
