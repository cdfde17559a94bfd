//! What only the database knows: depth, ages, workers, lag.
//!
//! A process that shows metrics looks every [`INTERVAL`], however often it is asked for them, and sees what every other
//! process sees: take the maximum over all of them, not the sum. No job is looked at, no table is read through: jobs are
//! counted while they change (see `queue::counts`), and the rest is a few rows, or the end of an index.

use std::time::Duration;

use anyhow::Context as _;
use merge_client::catalogue::Category;
use metrics::gauge;
use queue::counts;
use queue::pause::Scope;
use queue::{JobState, Queue};
use sqlx::PgPool;
use store::{activity, model_syncs, webhook_deliveries};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::database;
use crate::ops::health;

/// From one look to the next; what Prometheus is mostly told to scrape at.
const INTERVAL: Duration = Duration::from_secs(15);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Workers looked at.
const WORKERS: u16 = 1_000;

/// Looks again and again until `stop`, over a connection of its own: jobs that use up theirs are what it is to show.
pub async fn look_at_database(pool: PgPool, stop: CancellationToken) {
    let pool = database::like(&pool, 1);
    loop {
        let looked = timeout(PATIENCE, look_once(&pool)).await;
        if let Err(error) = looked.unwrap_or_else(|late| Err(late.into())) {
            // The gauges stay as they were, and the time of the last look tells how old they are.
            tracing::warn!(error = %format!("{error:#}"), "cannot look at the database for metrics");
        }
        if stop.run_until_cancelled(sleep(INTERVAL)).await.is_none() {
            return pool.close().await;
        }
    }
}

/// Sets all gauges of the database.
///
/// # Errors
/// When it does not answer.
pub async fn look_once(pool: &PgPool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await.context("cannot get a connection")?;
    let activity = activity::look(&mut conn).await?;
    let names = Category::ALL.map(Category::as_str);
    let lags = model_syncs::lags(&mut conn, &names).await?;
    for category in names {
        let lag = lags.iter().find(|lag| lag.category == category);
        let lag = lag.map_or(Duration::ZERO, |lag| lag.lag);
        gauge!("syncline_sync_lag_seconds", "category" => category).set(lag);
    }
    let waiting_since = webhook_deliveries::waiting_since(&mut conn).await?;
    drop(conn);
    let waiting = waiting_since.and_then(|since| (activity.now - since).to_std().ok());
    gauge!("syncline_webhook_oldest_waiting_age_seconds").set(waiting.unwrap_or_default());
    gauge!("syncline_database_oldest_transaction_age_seconds").set(activity.oldest_transaction);
    look_at_queues(pool, activity.now).await?;
    look_at_schedules(pool).await?;
    gauge!("syncline_database_seen_timestamp_seconds").set(seconds(activity.now.timestamp()));
    Ok(())
}

async fn look_at_queues(
    pool: &PgPool,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), queue::Error> {
    let counts = counts::counts(pool).await?;
    let mut queues = health::by_queue(&counts, now);
    for oldest in counts::oldest_due(pool).await? {
        queues.entry(oldest.queue).or_default().oldest_due = Some(oldest.due_minute);
    }
    let workers = queue::workers::list(pool, WORKERS).await?;
    health::add_slots(&mut queues, &workers);
    let pauses = queue::pause::list(pool).await?;
    let is_paused = |name: &str| {
        pauses.iter().any(|pause| match &pause.scope {
            Scope::Everything => true,
            Scope::Queue(queue) => queue.as_str() == name,
            Scope::Kind(_) | Scope::Lane(_) | Scope::Organization(_) => false,
        })
    };
    for queue in Queue::ALL.map(Queue::as_str) {
        let seen = queues.remove(queue).unwrap_or_default();
        for (state, jobs) in [
            (JobState::Available, seen.available),
            (JobState::Running, seen.running),
            (JobState::Retryable, seen.retryable),
            (JobState::Scheduled, seen.scheduled),
        ] {
            gauge!("syncline_queue_jobs", "queue" => queue, "state" => state.as_str())
                .set(amount(jobs));
        }
        gauge!("syncline_queue_oldest_ready_age_seconds", "queue" => queue)
            .set(seen.oldest_age(now).to_std().unwrap_or_default());
        gauge!("syncline_queue_slots", "queue" => queue).set(amount(seen.slots));
        gauge!("syncline_queue_is_paused", "queue" => queue)
            .set(f64::from(u8::from(is_paused(queue))));
    }
    for kind in jobs::registry().kinds() {
        let dead = counts
            .iter()
            .filter(|count| count.kind == kind && count.state == JobState::Dead)
            .map(|count| count.jobs);
        gauge!("syncline_dead_jobs", "kind" => kind).set(amount(dead.sum()));
    }
    let working = workers.iter().filter(|w| health::is_working(w)).count();
    let alive = workers.iter().filter(|w| health::is_alive(w)).count();
    gauge!("syncline_workers", "state" => "working").set(amount(working as u64));
    gauge!("syncline_workers", "state" => "not_working").set(amount((alive - working) as u64));
    Ok(())
}

async fn look_at_schedules(pool: &PgPool) -> Result<(), queue::Error> {
    let seen = queue::schedule::list(pool).await?;
    for schedule in jobs::registry().schedules() {
        let overdue = seen
            .iter()
            .find(|seen| seen.name == schedule.kind())
            .map_or(Duration::ZERO, |seen| seen.overdue);
        gauge!("syncline_schedule_overdue_seconds", "kind" => schedule.kind()).set(overdue);
    }
    Ok(())
}

/// Notes how the connections of each pool are used; asks nothing of the database.
pub fn note_pools(pools: &[(&'static str, PgPool)]) {
    for (name, pool) in pools {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        let used = pool.size().saturating_sub(idle);
        gauge!("syncline_database_connections", "pool" => *name, "state" => "idle")
            .set(f64::from(idle));
        gauge!("syncline_database_connections", "pool" => *name, "state" => "used")
            .set(f64::from(used));
        gauge!("syncline_database_connections_limit", "pool" => *name)
            .set(f64::from(pool.options().get_max_connections()));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and beyond that nobody counts"
)]
fn amount(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
fn seconds(timestamp: i64) -> f64 {
    timestamp as f64
}
