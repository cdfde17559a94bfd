//! Has events sent as soon as they are told.
//!
//! Only jobs tell events. Whenever some have ended in this process, it is looked whether there is news for endpoints,
//! and if so the job that sends it on its way is enqueued: apart from the transactions that told the events, which wait
//! for nobody. The tick of [`EnqueueDueEvents`] finds whatever is missed here, because the process ended in between.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use jobs::enqueue_due_events::EnqueueDueEvents;
use queue::NewJob;
use queue::job::chain;
use sqlx::PgPool;
use store::webhook_endpoints;
use tokio::time::sleep;

/// From one look to the next: what is told in between goes together.
const SPACING: Duration = Duration::from_millis(100);
/// The same after a failure.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// For as long as it is polled; it can be dropped at any time.
pub(crate) async fn run(pool: &PgPool, queue: &queue::Client) -> Infallible {
    let mut ended = queue.ended();
    loop {
        // The sender is ours, so it does not go away.
        let _ = ended.changed().await;
        let spacing = match announce(pool, queue).await {
            Ok(()) => SPACING,
            Err(error) => {
                tracing::warn!(error = chain(&*error), "cannot look for news of accounts");
                AFTER_ERROR
            }
        };
        sleep(spacing).await;
    }
}

async fn announce(
    pool: &PgPool,
    queue: &queue::Client,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut conn = pool.acquire().await?;
    if webhook_endpoints::has_news(&mut conn).await? {
        queue::enqueue(&mut *conn, &NewJob::new(&EnqueueDueEvents {})?).await?;
        queue.wake();
    }
    Ok(())
}
