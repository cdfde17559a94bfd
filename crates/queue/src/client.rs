//! The queue as the rest of a process holds it: its pool, its wake-ups, its waiters.

use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
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
    rollups::Tally,
    schedule,
    view::{self, JobDetail, JobView},
};

mod notifier;
mod waiters;

use notifier::Notifier;
use waiters::Waiters;

/// The channel on which processes wake each other's workers.
pub(crate) const WAKE_CHANNEL: &str = "syncline_wake";

/// How long the end of a worker waits for what it had begun.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Where to listen; `None`: nowhere.
    listen: Option<PgConnectOptions>,
    tasks: TaskTracker,
    /// Changes whenever this process' workers should look for work.
    work: watch::Sender<()>,
    /// Changes whenever outcomes of jobs that ran in this process are written.
    ended: watch::Sender<()>,
    notifier: Notifier,
    waiters: Waiters,
    tally: Arc<Tally>,
    /// Tells this process' notifications from others'.
    origin: String,
}

impl Client {
    /// The database's clock.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        schedule::database_now(self.pool()).await
    }

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
            listen: match listen {
                Listen::LikePool => Some((*pool.connect_options()).clone()),
                Listen::Directly(options) => Some(*options),
                Listen::Never => None,
            },
            waiters: Waiters::new(pool.clone()),
            tally: Arc::default(),
            pool,
            tasks: TaskTracker::new(),
            work: watch::Sender::new(()),
            ended: watch::Sender::new(()),
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

    /// The job whose attempt made the request that the far side gave this id; the newest, if there are several.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn job_of_request(&self, request_id: &str) -> Result<Option<JobId>, Error> {
        view::job_of_request(&self.shared.pool, request_id).await
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

    /// What this process has measured. Whoever runs a process stores it now and then, and at its end.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.shared.tally
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.shared.pool
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

    /// Changes whenever outcomes of jobs that ran in this process were written: a hint that there may be
    /// something to do about what they did, however many there were.
    pub fn ended(&self) -> watch::Receiver<()> {
        self.shared.ended.subscribe()
    }

    /// Tells this process' waiters that jobs ended.
    pub(crate) fn jobs_ended(&self) {
        self.shared.waiters.look();
        self.shared.ended.send_replace(());
    }

    /// Runs what must not be cut off when the caller is dropped; shutting down waits for it. A future that is dropped
    /// inside `Pool::begin` leaves an open transaction in the pool (launchbadge/sqlx#4393).
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

    /// Waits for everything that was spawned, but not for statements that nobody answers.
    pub(crate) async fn finish(&self) {
        self.shared.tasks.close();
        if timeout(PATIENCE, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("statements of the queue's own do not end: leaving them");
        }
        self.shared.tasks.reopen();
    }
}

/// Has a pool close connections that come back inside a transaction, instead of lending them again.
///
/// A future that is dropped inside `Pool::begin` leaves one (launchbadge/sqlx#4393), and handlers of requests
/// are dropped when the client goes away. Whoever got that connection next would write what is never
/// committed, or fail for ever.
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
