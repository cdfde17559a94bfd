//! For the tests of jobs: run what is due, here and now; move time; see what waits.
//!
//! The same statements as a worker's, called one after another, so a test needs no waiting.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use sqlx::{PgPool, Postgres, pool::PoolConnection};

use crate::{
    client::Client,
    error::Error,
    ids::JobId,
    limiter::{Rate, SharedLimiter},
    maintenance,
    perform::perform,
    registry::Registry,
    worker::{Ready, Settings, Stop, claim, lease, release, settle, start},
};

mod logical_worker;

pub use logical_worker::{LogicalWorker, Run};

/// What [`run_due`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Attempts that were run.
    pub attempts: usize,
}

/// Runs everything that is due, and what it enqueues, one job after another, until nothing is due.
///
/// # Errors
/// [`Error::Database`].
pub async fn run_due<C: Send + Sync + 'static>(
    pool: &PgPool,
    registry: &Arc<Registry<C>>,
    context: &Arc<C>,
) -> Result<Report, Error> {
    maintenance::ensure_partitions(pool).await?;
    let client = Client::new(pool.clone());
    let settings = Settings {
        rate: Rate {
            per_minute: 1_000_000,
            burst: 500_000,
        },
        lease: Duration::from_mins(10),
        ..Settings::default()
    };
    let worker = lease::register(pool, &settings).await?;
    let mut report = Report::default();
    loop {
        let want = claim::Want { urgent: 1, any: 1 };
        let claimed = claim::claim(pool, worker, want, &[], 0).await?;
        if claimed.is_empty() {
            break;
        }
        for lane in claimed {
            let first = [(lane.lane.clone(), 1)];
            while let Some(due) = start::due(pool, &first, &settings.served()).await?.pop() {
                let mut chosen = start::Chosen::default();
                chosen.push(due, lane.epoch);
                let started = start::start(pool, worker, &chosen).await?;
                for job in started {
                    let ready = Ready {
                        limiter: SharedLimiter::new(settings.rate, Duration::ZERO),
                        client: client.clone(),
                        purse: None,
                        stop: Stop::default(),
                        ticket: None,
                        job: Arc::clone(&job),
                    };
                    let answer = perform(ready, Arc::clone(registry), Arc::clone(context)).await;
                    settle::write_one(pool, registry, job, answer).await?;
                    report.attempts += 1;
                }
                if is_parked(pool, lane.lane.as_str()).await? {
                    break;
                }
            }
            let releasable = release::Releasable {
                lane: lane.lane,
                epoch: lane.epoch,
                limiter_ahead: Duration::ZERO,
                is_doubtful: false,
            };
            release::release(
                &mut *acquire(pool).await?,
                worker,
                &[releasable],
                &settings.served(),
            )
            .await?;
        }
    }
    lease::sign_off(pool, worker).await?;
    Ok(report)
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, Error> {
    pool.acquire()
        .await
        .map_err(Error::database("get a connection"))
}

async fn is_parked(pool: &PgPool, lane: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(blocked_until > now(), false) AS "parked!" FROM syncline.lanes WHERE lane = $1"#,
        lane
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("look at a lane"))
}

/// Lets this much time pass for the queue: what was to happen later happens that much sooner.
///
/// # Errors
/// [`Error::Database`].
pub async fn advance(pool: &PgPool, time: Duration) -> Result<(), Error> {
    let seconds = time.as_secs_f64();
    sqlx::query!(
        "UPDATE syncline.jobs SET run_at = run_at - make_interval(secs => $1)",
        seconds
    )
    .execute(pool)
    .await
    .map_err(Error::database("move the time of jobs"))?;
    sqlx::query!(
        r#"
        UPDATE syncline.lanes
        SET due_at = due_at - make_interval(secs => $1),
            blocked_until = blocked_until - make_interval(secs => $1),
            limiter_tat = limiter_tat - make_interval(secs => $1)
        "#,
        seconds
    )
    .execute(pool)
    .await
    .map_err(Error::database("move the time of lanes"))?;
    sqlx::query!(
        "UPDATE syncline.pauses SET paused_until = paused_until - make_interval(secs => $1)",
        seconds
    )
    .execute(pool)
    .await
    .map_err(Error::database("move the time of pauses"))?;
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET next_run_at = next_run_at - make_interval(secs => $1),
            last_tick = last_tick - make_interval(secs => $1),
            paused_until = paused_until - make_interval(secs => $1)
        "#,
        seconds
    )
    .execute(pool)
    .await
    .map_err(Error::database("move the time of schedules"))?;
    Ok(())
}

/// The payloads of the jobs of a kind that wait or run, oldest first.
///
/// # Errors
/// [`Error::Database`].
pub async fn pending(pool: &PgPool, kind: &str) -> Result<Vec<(JobId, Value)>, Error> {
    let rows = sqlx::query!(
        "SELECT id, payload FROM syncline.jobs WHERE kind = $1 ORDER BY id LIMIT 10000",
        kind
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("read pending jobs"))?;
    Ok(rows
        .into_iter()
        .map(|row| (JobId(row.id), row.payload))
        .collect())
}

#[cfg(test)]
pub(crate) mod probe;
