//! Cron schedules, kept in the database.
//!
//! A due schedule is locked, its job enqueued and its next run written in one transaction, so a tick
//! fires once whatever the number of schedulers. A tick that was missed, because nothing ran, is fired
//! once when something runs again; those before it are skipped. Expressions are read in UTC, which has
//! no daylight saving time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use sqlx::{PgConnection, PgPool};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    enqueue::{NewJob, enqueue},
    error::Error,
    job::{Job, chain},
};

/// How often due schedules are looked for at least.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A job that runs by the clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: &'static str,
    cron: String,
    job: NewJob,
}

impl Schedule {
    /// The schedule of `J`, by `cron` (five fields, or six with seconds first).
    ///
    /// # Errors
    /// [`Error::Cron`] for what is no cron expression, [`Error::Decode`] when `J` needs more than an
    /// empty payload.
    pub fn of<J: Job>(cron: &str) -> Result<Self, Error> {
        parse(J::KIND, cron)?;
        let job: J =
            serde_json::from_value(serde_json::json!({})).map_err(|source| Error::Decode {
                kind: J::KIND,
                source,
            })?;
        Ok(Self {
            kind: J::KIND,
            cron: cron.to_owned(),
            job: NewJob::new(&job)?,
        })
    }

    /// The kind whose job it enqueues; also the schedule's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The same job by another expression.
    ///
    /// # Errors
    /// [`Error::Cron`].
    pub fn with_cron(self, cron: &str) -> Result<Self, Error> {
        parse(self.kind, cron)?;
        Ok(Self {
            cron: cron.to_owned(),
            ..self
        })
    }

    fn next_after(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
        parse(self.kind, &self.cron)?
            .find_next_occurrence(&now, false)
            .map_err(|_| Error::NoNextRun {
                kind: self.kind.to_owned(),
                cron: self.cron.clone(),
            })
    }
}

fn parse(kind: &'static str, cron: &str) -> Result<Cron, Error> {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .build()
        .parse(cron)
        .map_err(|error| Error::Cron {
            kind,
            cron: cron.to_owned(),
            reason: error.to_string(),
        })
}

/// Writes schedules to the database and fires them until `stop`. Errors are waited out.
pub async fn run(client: Client, schedules: Vec<Schedule>, stop: CancellationToken) {
    let mut is_synced = false;
    loop {
        let work = schedules.clone();
        let fired = client
            .patiently("fire schedules", move |pool| async move {
                if !is_synced {
                    sync(&pool, &work).await?;
                }
                fire_due(&pool, &work).await
            })
            .await;
        let pause = match fired {
            Ok(fired) => {
                is_synced = true;
                if fired.jobs > 0 {
                    client.wake();
                }
                fired.next.map_or(MAX_PAUSE, |next| next.min(MAX_PAUSE))
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot fire schedules yet");
                MAX_PAUSE
            }
        };
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// What one look at the schedules did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// Jobs enqueued.
    pub jobs: usize,
    /// Time until the next schedule is due.
    pub next: Option<Duration>,
}

/// Adds schedules that are new and adopts changed expressions; the others keep their next run.
///
/// # Errors
/// [`Error::Database`], [`Error::NoNextRun`].
pub async fn sync(pool: &PgPool, schedules: &[Schedule]) -> Result<(), Error> {
    let now = database_now(pool).await?;
    for schedule in schedules {
        sqlx::query!(
            r#"
            INSERT INTO syncline.schedules (name, cron, next_run_at)
            VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE
            SET cron = excluded.cron, next_run_at = excluded.next_run_at
            WHERE schedules.cron <> excluded.cron
            "#,
            schedule.kind,
            schedule.cron,
            schedule.next_after(now)?,
        )
        .execute(pool)
        .await
        .map_err(Error::database("write schedules"))?;
    }
    Ok(())
}

/// Enqueues the jobs of all schedules that are due, each once.
///
/// # Errors
/// [`Error::Database`], [`Error::NoNextRun`].
pub async fn fire_due(pool: &PgPool, schedules: &[Schedule]) -> Result<Fired, Error> {
    let names: Vec<String> = schedules
        .iter()
        .map(|schedule| schedule.kind.to_owned())
        .collect();
    let mut tx = pool
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let due = sqlx::query!(
        r#"
        SELECT name, now() AS "now!"
        FROM syncline.schedules
        WHERE name = ANY ($1) AND next_run_at <= now()
        ORDER BY name
        FOR UPDATE SKIP LOCKED
        "#,
        &names,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("look for due schedules"))?;
    for row in &due {
        if let Some(schedule) = schedules.iter().find(|schedule| schedule.kind == row.name) {
            fire(&mut tx, schedule, row.now).await?;
        }
    }
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT extract(epoch FROM min(next_run_at) - now())::float8 AS seconds
        FROM syncline.schedules
        WHERE name = ANY ($1)
        "#,
        &names,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database("look for the next schedule"))?;
    tx.commit()
        .await
        .map_err(Error::database("fire schedules"))?;
    let next = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    Ok(Fired {
        jobs: due.len(),
        next,
    })
}

async fn fire(tx: &mut PgConnection, schedule: &Schedule, now: DateTime<Utc>) -> Result<(), Error> {
    let enqueued = enqueue(tx, &schedule.job).await?;
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET last_run_at = now(), last_job_id = $2, next_run_at = $3
        WHERE name = $1
        "#,
        schedule.kind,
        enqueued.id.0,
        schedule.next_after(now)?,
    )
    .execute(tx)
    .await
    .map_err(Error::database("fire a schedule"))?;
    Ok(())
}

async fn database_now(pool: &PgPool) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
        .fetch_one(pool)
        .await
        .map_err(Error::database("ask the time"))
}

#[cfg(test)]
mod tests;
