//! Waiting for the end of jobs: one query for all who wait in this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use crate::{error::Error, ids::JobId};

/// How often other processes' work is looked at while somebody waits.
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Waiters {
    pool: PgPool,
    shared: Arc<Shared>,
    task: OnceLock<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The sender lives here until the job ended; who waits holds a receiver.
    jobs: Mutex<HashMap<Uuid, watch::Sender<()>>>,
    /// There is a new waiter, or jobs of this process ended.
    look: Notify,
}

impl Waiters {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            shared: Arc::default(),
            task: OnceLock::new(),
        }
    }

    /// Resolves when the job ended. A job that does not exist never does.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing is lost when this task is cut off"
    )]
    pub(super) fn register(&self, id: JobId) -> impl Future<Output = ()> + use<> {
        self.task
            .get_or_init(|| tokio::spawn(look_all(self.pool.clone(), Arc::clone(&self.shared))));
        let mut ended = {
            let mut jobs = self.shared.lock();
            jobs.entry(id.0)
                .or_insert_with(|| watch::Sender::new(()))
                .subscribe()
        };
        self.shared.look.notify_one();
        async move {
            // The sender is dropped when the job ended: an error is the answer.
            while ended.changed().await.is_ok() {}
        }
    }

    pub(super) fn look(&self) {
        self.shared.look.notify_one();
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs somebody still waits for.
    fn awaited(&self) -> Vec<Uuid> {
        let mut jobs = self.lock();
        jobs.retain(|_, sender| sender.receiver_count() > 0);
        jobs.keys().copied().collect()
    }
}

async fn look_all(pool: PgPool, shared: Arc<Shared>) {
    loop {
        let awaited = shared.awaited();
        if awaited.is_empty() {
            shared.look.notified().await;
            continue;
        }
        match timeout(PATIENCE, ended_among(&pool, &awaited)).await {
            Ok(Ok(ended)) => {
                let mut jobs = shared.lock();
                for id in ended {
                    jobs.remove(&id);
                }
            }
            failed => tracing::debug!(?failed, "cannot look for the jobs that are waited for"),
        }
        // Either is a reason to look again.
        let _ = timeout(POLL, shared.look.notified()).await;
    }
}

async fn ended_among(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id!" FROM syncline.job_history WHERE id = ANY($1)
        UNION ALL
        SELECT id AS "id!" FROM syncline.dead_jobs WHERE id = ANY($1)
        "#,
        ids,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look for ended jobs"))
}
