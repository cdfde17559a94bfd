//! A worker: one start of a process that leases lanes and runs their jobs.
//!
//! Four tasks, each with one duty. The *dispatcher* claims lanes, starts their jobs and lets lanes go.
//! The *settler* writes how jobs ended, all that ended meanwhile in one transaction. The *keeper* renews
//! the lease from a connection of its own, so that no handler can make the worker look dead, and takes
//! over the lanes of workers that are. The *listener* hears other processes enqueue. None of them ever
//! gives up: an error is logged, waited out and tried again, and the jobs are in the database meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::Started,
    backend::LaneBackend,
    client::Client,
    error::Error,
    error_budget::{ErrorBudget, Purse},
    ids::{Queue, WorkerId},
    limiter::{Rate, SharedLimiter},
    maintenance,
    registry::Registry,
    session::{Session, patiently},
};

pub(crate) mod claim;
mod dispatcher;
pub(crate) mod lease;
mod listener;
pub(crate) mod look;
pub(crate) mod release;
pub(crate) mod settle;
pub(crate) mod start;

use dispatcher::Dispatcher;
use lease::Keeper;
use settle::{Settler, Ticket};

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Jobs of each queue it runs at once; a queue that is missing is not served.
    pub slots: BTreeMap<Queue, usize>,
    /// Jobs of one lane it runs at once; at least 1.
    pub lane_concurrency: usize,
    /// Jobs after which a lane's turn ends and others get theirs; at least 1.
    pub quantum: usize,
    /// What each lane may ask of the far side.
    pub rate: Rate,
    /// What the fleet may provoke at the far side, all processes together.
    pub error_budget: ErrorBudget,
    /// How often it looks for work when nobody wakes it.
    pub poll_interval: Duration,
    /// Silent for this long it is dead.
    pub lease: Duration,
    /// How often the lease is renewed; well below `lease`.
    pub renew_interval: Duration,
    /// How long running jobs may take to end when the process stops.
    pub drain_deadline: Duration,
    /// Shown to people.
    pub version: String,
}

impl Settings {
    /// The names of the queues it serves.
    pub(crate) fn served(&self) -> Vec<String> {
        self.slots
            .keys()
            .map(|queue| queue.as_str().to_owned())
            .collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: BTreeMap::from([
                (Queue::INTERACTIVE, 8),
                (Queue::SYNC, 16),
                (Queue::WEBHOOKS, 4),
                (Queue::OUTBOUND, 16),
                (Queue::MAINTENANCE, 2),
            ]),
            lane_concurrency: 4,
            quantum: 64,
            rate: Rate {
                per_minute: 80,
                burst: 20,
            },
            error_budget: ErrorBudget::default(),
            poll_interval: Duration::from_millis(1_500),
            lease: Duration::from_secs(15),
            renew_interval: Duration::from_secs(5),
            drain_deadline: Duration::from_secs(25),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// How a handler ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Its completion is still to be written.
    Done,
    /// It wrote its completion with its last effects.
    Written,
}

/// A started job on its way to its handler. Dropped, the job is handed back and its attempt with it.
#[derive(Debug)]
pub struct Ready {
    pub(crate) job: Arc<Started>,
    pub(crate) client: Client,
    pub(crate) limiter: SharedLimiter,
    pub(crate) purse: Option<Purse>,
    pub(crate) stop: Stop,
    pub(crate) ticket: Option<Ticket>,
}

/// Stops one running job, and says why when somebody asked for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    request: Arc<OnceLock<String>>,
}

impl Stop {
    /// Fires when the job should stop.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Cancels the job for good; `message` says who wants it and why.
    pub(crate) fn request(&self, message: &str) {
        self.request.get_or_init(|| message.to_owned());
        self.token.cancel();
    }

    /// Stops the job because its worker has to; it will run again.
    pub(crate) fn cut_off(&self) {
        self.token.cancel();
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.request.get().is_some()
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.request.get().map(String::as_str)
    }
}

/// A running worker's other half: the tasks behind the backend.
#[derive(Debug)]
pub struct Worker {
    draining: CancellationToken,
    tasks: JoinHandle<()>,
}

impl Worker {
    /// Registers a worker and starts its tasks; the backend yields the jobs to be performed.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot register.
    pub async fn start<C: Send + Sync + 'static>(
        client: &Client,
        registry: &Arc<Registry<C>>,
        settings: Settings,
    ) -> Result<(Self, LaneBackend), Error> {
        maintenance::ensure_partitions(client.pool()).await?;
        let draining = CancellationToken::new();
        let (to_backend, backend) = mpsc::unbounded_channel();
        let running = Arc::new(AtomicUsize::new(0));
        let (keeper, identity) = Keeper::register(client, &settings, Arc::clone(&running)).await?;
        let policies = {
            let registry = Arc::clone(registry);
            Arc::new(move |kind: &str| registry.policy(kind))
        };
        let (settler, tickets, settled) = Settler::new(client.clone(), policies);
        let dispatcher = Dispatcher::new(
            client.clone(),
            settings.clone(),
            identity,
            dispatcher::Channels {
                to_backend,
                tickets,
                settled,
                running,
            },
        );
        let tasks = run_tasks(
            client.clone(),
            keeper,
            settler,
            dispatcher,
            draining.clone(),
        );
        #[expect(clippy::disallowed_methods, reason = "`drain` waits for it")]
        let tasks = tokio::spawn(tasks);
        Ok((Self { draining, tasks }, LaneBackend::new(backend)))
    }

    /// Stops gracefully: claims nothing more, hands back what has not begun, waits for what runs until
    /// the deadline, hands back the rest with their attempts, lets all lanes go.
    pub async fn drain(self) {
        self.draining.cancel();
        if let Err(error) = self.tasks.await {
            tracing::error!(%error, "the worker's tasks ended badly");
        }
    }
}

async fn run_tasks(
    client: Client,
    keeper: Keeper,
    settler: Settler,
    dispatcher: Dispatcher,
    draining: CancellationToken,
) {
    let stop_keeping = CancellationToken::new();
    let dispatching = async {
        // Ends when it has drained; with it go the last tickets, and so the settler ends.
        let identity = dispatcher.run(draining).await;
        client.finish().await;
        identity
    };
    let settling = settler.run();
    let keeping = keeper.run(stop_keeping.clone());
    let listening = listener::run(client.clone(), stop_keeping.clone());
    let ending = async {
        let (identity, ()) = tokio::join!(dispatching, settling);
        stop_keeping.cancel();
        identity
    };
    let (identity, (), ()) = tokio::join!(ending, keeping, listening);
    if let Err(error) = sign_off(&client, identity.current()).await {
        tracing::warn!(error = %crate::job::chain(&error), "cannot sign the worker off; its lease runs out");
    }
}

async fn sign_off(client: &Client, worker: WorkerId) -> Result<(), Error> {
    let mut session = Session::like(client.pool());
    let mut connection = session.take().await?;
    patiently(
        "sign a worker off",
        lease::sign_off(&mut connection, worker),
    )
    .await?;
    session.keep(connection);
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests;
