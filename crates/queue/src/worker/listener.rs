//! Hears other processes enqueue. Only a hint: without it jobs start at the next poll.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, WAKE_CHANNEL};

const AFTER_ERROR: Duration = Duration::from_secs(1);
/// After so much silence the connection is tried: its other end may be gone without a word.
const SILENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(client: Client, stop: CancellationToken) {
    if let Some(options) = client.listen_options().cloned() {
        stop.run_until_cancelled(listen_for_ever(client, options))
            .await;
    }
}

async fn listen_for_ever(client: Client, options: PgConnectOptions) {
    loop {
        // Of its own, a connection that listens must not be missing from the pool; and new each time, since
        // one whose other end is gone never comes back to its pool.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.clone());
        if let Err(error) = listen(&client, &pool).await {
            tracing::debug!(%error, "not listening for other processes; polling goes on");
        }
        drop(pool.close());
        sleep(AFTER_ERROR).await;
    }
}

async fn listen(client: &Client, pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut listener = timeout(PATIENCE, PgListener::connect_with(pool))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    timeout(PATIENCE, listener.listen(WAKE_CHANNEL))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    // Something may have been enqueued before this listened.
    client.wake_local();
    loop {
        let Ok(received) = timeout(SILENCE, listener.try_recv()).await else {
            let tried = sqlx::query!(r#"SELECT true AS "answers!""#).fetch_one(&mut listener);
            timeout(PATIENCE, tried)
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            continue;
        };
        match received? {
            Some(notification) if notification.payload() == client.origin() => {}
            // Of another process; or the connection was lost for a while, and with it who knows what.
            Some(_) | None => client.wake_local(),
        }
    }
}
