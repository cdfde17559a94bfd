//! The queue as the rest of a process holds it: its pool, its wake-ups, its waiters.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sqlx::{
    PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    error::Error,
    ids::JobId,
    view::{self, JobDetail, JobView},
};

mod notifier;
mod waiters;

use notifier::Notifier;
use waiters::Waiters;

/// The channel on which processes wake each other's workers.
pub(crate) const WAKE_CHANNEL: &str = "syncline_wake";

/// Enough for the dispatcher, the settler, the keeper's rescues and the scheduler to work side by side.
const OWN_CONNECTIONS: u32 = 3;
const OWN_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the worker's tasks wait for a statement before they go on without its answer.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(10);

/// Of the queue's own sessions at the server.
const OWN_SETTINGS: [(&str, &str); 6] = [
    // In milliseconds: before we lose our patience, and although we may be gone.
    ("statement_timeout", "9000"),
    ("lock_timeout", "5000"),
    ("idle_in_transaction_session_timeout", "9000"),
    // The planner knows nothing of the arrays our statements are given, and a queue's tables are empty at
    // one moment and huge at the next: one plan for all, by the indexes.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// How this process hears that others enqueue.
#[derive(Debug, Clone, Default)]
pub enum Listen {
    /// From a connection like the pool's.
    #[default]
    LikePool,
    /// From a connection of this kind: the pool's go through a pooler, which cannot pass notifications on.
    Directly(Box<PgConnectOptions>),
    /// Not at all. Its workers find what others enqueue at their next poll.
    Never,
}

/// A handle on the queue; clones share everything. Make one for a process.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    /// For the queue's own statements, so that handlers which use up the pool cannot stop the worker.
    own_pool: RwLock<PgPool>,
    /// Where to listen; `None`: nowhere.
    listen: Option<PgConnectOptions>,
    tasks: TaskTracker,
    /// Changes whenever this process' workers should look for work.
    work: watch::Sender<()>,
    notifier: Notifier,
    waiters: Waiters,
    /// Tells this process' notifications from others'.
    origin: String,
}

impl Client {
    /// A handle on the queue in the database of `pool`.
    pub fn new(pool: PgPool) -> Self {
        Self::listening(pool, Listen::LikePool)
    }

    /// As [`Client::new`], for a pool whose connections go through a pooler: any that lends its server
    /// connections by transaction and lets prepared statements through.
    pub fn listening(pool: PgPool, listen: Listen) -> Self {
        let origin = Uuid::new_v4().to_string();
        let shared = Shared {
            notifier: Notifier::new(pool.clone(), origin.clone()),
            origin,
            own_pool: RwLock::new(own_pool(&pool)),
            listen: match listen {
                Listen::LikePool => Some((*pool.connect_options()).clone()),
                Listen::Directly(options) => Some(*options),
                Listen::Never => None,
            },
            waiters: Waiters::new(pool.clone()),
            pool,
            tasks: TaskTracker::new(),
            work: watch::Sender::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Tells workers, here and in other processes, that there may be work: call it after a commit that
    /// enqueued something. Cheap, and merged with others that come at the same time. A hint only: without
    /// it a worker finds the job at its next poll.
    pub fn wake(&self) {
        self.wake_local();
        self.shared.notifier.notify();
    }

    /// The state of a job, its attempts and its result; `None` when there is no such job.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn get(&self, id: JobId) -> Result<Option<JobView>, Error> {
        view::get(&self.shared.pool, id).await
    }

    /// Everything known of a job: payload, every attempt, children, why it does not run; `None` when there
    /// is no such job.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn detail(&self, id: JobId) -> Result<Option<JobDetail>, Error> {
        view::detail(&self.shared.pool, id).await
    }

    /// Waits until a job ended; `None` when it has not within `timeout`, or does not exist.
    ///
    /// All waiters of a process share one query.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn wait(&self, id: JobId, timeout: Duration) -> Result<Option<JobView>, Error> {
        let ended = self.shared.waiters.register(id);
        if tokio::time::timeout(timeout, ended).await.is_err() {
            return Ok(None);
        }
        self.get(id).await
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    pub(crate) fn own_pool(&self) -> PgPool {
        let own_pool = self.shared.own_pool.read();
        own_pool.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn listen_options(&self) -> Option<&PgConnectOptions> {
        self.shared.listen.as_ref()
    }

    pub(crate) fn origin(&self) -> &str {
        &self.shared.origin
    }

    pub(crate) fn wake_local(&self) {
        self.shared.work.send_replace(());
    }

    pub(crate) fn work(&self) -> watch::Receiver<()> {
        self.shared.work.subscribe()
    }

    /// Tells this process' waiters that jobs ended.
    pub(crate) fn jobs_ended(&self) {
        self.shared.waiters.look();
    }

    /// Runs what must not be cut off when the caller is dropped; shutting down waits for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the tracker that shutdown waits for"
    )]
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        tokio::spawn(self.shared.tasks.track_future(future))
    }

    /// Runs statements of the queue's own to their end, but waits for them only so long.
    ///
    /// In a task of its own, because a future that is dropped inside `Pool::begin` leaves an open
    /// transaction in the pool (launchbadge/sqlx#4393). What takes effect after the wait is found by the
    /// dispatcher's reconciliation, as is a commit whose answer was lost.
    pub(crate) async fn patiently<T, F>(
        &self,
        operation: &'static str,
        work: impl FnOnce(PgPool) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let pool = self.own_pool();
        let task = self.spawn(work(pool.clone()));
        match timeout(STATEMENT_PATIENCE, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(_aborted)) => Err(Error::ShuttingDown),
            Err(_elapsed) => {
                self.give_up(&pool);
                Err(Error::Database {
                    operation,
                    source: sqlx::Error::PoolTimedOut,
                })
            }
        }
    }

    /// Goes on with new connections. The server would have ended the statement, so the other end of its
    /// connection is gone without a word, and sqlx waits for ever: the connection never comes back.
    fn give_up(&self, pool: &PgPool) {
        // Closed at once, before the future is polled; who else holds it opens nothing any more.
        drop(pool.close());
        let mut own_pool = self
            .shared
            .own_pool
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if own_pool.is_closed() {
            tracing::warn!("connections of the queue's own do not answer: opening others");
            *own_pool = self::own_pool(&self.shared.pool);
        }
    }

    /// Waits for everything that was spawned, but not for statements that nobody answers.
    pub(crate) async fn finish(&self) {
        self.shared.tasks.close();
        if timeout(STATEMENT_PATIENCE, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("statements of the queue's own do not end: leaving them");
        }
        self.shared.tasks.reopen();
    }
}

/// Has a pool close connections that come back inside a transaction, instead of lending them again.
///
/// A future that is dropped inside `Pool::begin` leaves one (launchbadge/sqlx#4393), and handlers of requests
/// are dropped when the client goes away. Whoever got that connection next would write what is never
/// committed, or fail for ever. The queue's own pool does without: nothing there is ever dropped.
#[must_use]
pub fn close_poisoned(options: PgPoolOptions) -> PgPoolOptions {
    options.after_release(|connection, _| {
        Box::pin(async move {
            // Equal in the first statement of a transaction only; an error when one is aborted. As a simple
            // query: in the extended protocol a statement's time is taken anew between Bind and Execute.
            #[expect(clippy::disallowed_methods, reason = "no macro makes a simple query")]
            let asked = sqlx::raw_sql("SELECT now() = statement_timestamp()");
            asked.fetch_one(connection).await?.try_get(0)
        })
    })
}

fn own_pool(like: &PgPool) -> PgPool {
    let options = (*like.connect_options()).clone().options(OWN_SETTINGS);
    PgPoolOptions::new()
        .max_connections(OWN_CONNECTIONS)
        .acquire_timeout(OWN_ACQUIRE_TIMEOUT)
        .connect_lazy_with(options)
}
