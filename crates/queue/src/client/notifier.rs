//! Wakes workers of other processes.
//!
//! A NOTIFY inside the enqueueing transaction serialises all commits of the database (measured: 417
//! commits a second against 5,104). So one task per process sends it after the commit, from a connection
//! of its own: the first at once, then at most one per 5 ms.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, PgPool};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::WAKE_CHANNEL;

const SPACING: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);
const AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Notifier {
    pool: PgPool,
    origin: String,
    wanted: Arc<Notify>,
    task: std::sync::OnceLock<JoinHandle<()>>,
}

impl Notifier {
    pub(super) fn new(pool: PgPool, origin: String) -> Self {
        Self {
            pool,
            origin,
            wanted: Arc::new(Notify::new()),
            task: std::sync::OnceLock::new(),
        }
    }

    /// Returns at once; the notification follows.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing is lost when this task is cut off"
    )]
    pub(super) fn notify(&self) {
        self.task.get_or_init(|| {
            let (pool, origin) = (self.pool.clone(), self.origin.clone());
            tokio::spawn(send_all(pool, origin, Arc::clone(&self.wanted)))
        });
        self.wanted.notify_one();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn send_all(pool: PgPool, origin: String, wanted: Arc<Notify>) {
    let mut connection = None;
    loop {
        wanted.notified().await;
        match timeout(PATIENCE, send(&pool, &origin, &mut connection)).await {
            Ok(Ok(())) => sleep(SPACING).await,
            failed => {
                // Workers poll, so this costs time, not jobs.
                tracing::debug!(?failed, "cannot wake the workers of other processes");
                connection = None;
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn send(
    pool: &PgPool,
    origin: &str,
    connection: &mut Option<PgConnection>,
) -> Result<(), sqlx::Error> {
    if connection.is_none() {
        *connection = Some(PgConnection::connect_with(&pool.connect_options()).await?);
    }
    if let Some(connection) = connection {
        sqlx::query_scalar!(
            // A hint need not be on disk.
            r#"
            SELECT pg_notify($1, $2)::text AS "sent"
            WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
            "#,
            WAKE_CHANNEL,
            origin
        )
        .fetch_one(connection)
        .await?;
    }
    Ok(())
}
