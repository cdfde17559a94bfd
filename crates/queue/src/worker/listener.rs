//! Hears other processes enqueue. Only a hint: without it jobs start at the next poll.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, WAKE_CHANNEL};

const AFTER_ERROR: Duration = Duration::from_secs(1);

pub(super) async fn run(client: Client, stop: CancellationToken) {
    stop.run_until_cancelled(listen_for_ever(client)).await;
}

async fn listen_for_ever(client: Client) {
    // Of its own: a connection that listens must not be missing from the pool.
    let options = (*client.pool().connect_options()).clone();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    loop {
        if let Err(error) = listen(&client, &pool).await {
            tracing::debug!(%error, "not listening for other processes; polling goes on");
        }
        sleep(AFTER_ERROR).await;
    }
}

async fn listen(client: &Client, pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(WAKE_CHANNEL).await?;
    // Something may have been enqueued before this listened.
    client.wake_local();
    loop {
        match listener.try_recv().await? {
            Some(notification) if notification.payload() == client.origin() => {}
            // Of another process; or the connection was lost for a while, and with it who knows what.
            Some(_) | None => client.wake_local(),
        }
    }
}
