//! Wakes workers of other processes.
//!
//! A NOTIFY inside the enqueueing transaction serialises all commits of the database (measured: 417
//! commits a second against 5,104). So one task per process sends it after the commit, from a connection
//! of its own: the first at once, then at most one per 5 ms.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::WAKE_CHANNEL;
use crate::{error::Error, session::Session};

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
            let (session, origin) = (Session::like(&self.pool), self.origin.clone());
            tokio::spawn(send_all(session, origin, Arc::clone(&self.wanted)))
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

async fn send_all(mut session: Session, origin: String, wanted: Arc<Notify>) {
    loop {
        wanted.notified().await;
        match timeout(PATIENCE, send(&mut session, &origin)).await {
            Ok(Ok(())) => sleep(SPACING).await,
            failed => {
                // Workers poll, so this costs time, not jobs.
                tracing::debug!(?failed, "cannot wake the workers of other processes");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn send(session: &mut Session, origin: &str) -> Result<(), Error> {
    let mut connection = session.take().await?;
    sqlx::query_scalar!(
        // A hint need not be on disk.
        r#"
            SELECT pg_notify($1, $2)::text AS "sent"
            WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
            "#,
        WAKE_CHANNEL,
        origin
    )
    .fetch_one(&mut connection)
    .await
    .map_err(Error::database("wake the workers of other processes"))?;
    session.keep(connection);
    Ok(())
}
