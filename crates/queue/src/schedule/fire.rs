//! Fires what is due.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Schedule, database_now, next_after,
    plan::{Due, Plan},
    stored::StoredRow,
};
use crate::{
    client::Client,
    enqueue::{NewJob, enqueue_many},
    error::Error,
    ids::JobId,
    job::chain,
    session::{Session, patiently},
};

/// How often the schedules are looked at when none is due: so soon an edit or a resumption is noticed.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// What is due may be another scheduler's to fire, and not yet fired.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// A schedule whose row cannot be understood is looked at again after this.
const AFTER_FAULT: TimeDelta = TimeDelta::minutes(1);

/// Writes schedules to the database and fires them until `stop`. Errors are waited out.
pub async fn run(client: Client, schedules: Vec<Schedule>, stop: CancellationToken) {
    let mut session = Session::like(client.pool());
    let mut is_synced = false;
    loop {
        let firing = sync_and_fire(&mut session, &schedules, is_synced);
        let pause = match patiently("fire schedules", firing).await {
            Ok(fired) => {
                is_synced = true;
                if fired.jobs > 0 {
                    client.wake();
                }
                fired.next.unwrap_or(MAX_PAUSE).clamp(MIN_PAUSE, MAX_PAUSE)
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot fire schedules yet");
                AFTER_ERROR
            }
        };
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return session.close().await;
        }
    }
}

async fn sync_and_fire(
    session: &mut Session,
    schedules: &[Schedule],
    is_synced: bool,
) -> Result<Fired, Error> {
    let mut connection = session.take().await?;
    if !is_synced {
        sync(&mut connection, schedules).await?;
    }
    let fired = fire_due(&mut connection, schedules).await?;
    session.keep(connection);
    Ok(fired)
}

/// What one look at the schedules did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// Jobs enqueued.
    pub jobs: usize,
    /// Time until the next schedule is due.
    pub next: Option<Duration>,
}

/// Writes what the code declares. What people changed stays; a schedule keeps its next run unless the
/// expression or the zone that holds is another now.
///
/// # Errors
/// [`Error::Database`], [`Error::Schedule`].
pub async fn sync(connection: &mut PgConnection, schedules: &[Schedule]) -> Result<(), Error> {
    let now = database_now(&mut *connection).await?;
    for schedule in schedules {
        let mut tx = connection
            .begin()
            .await
            .map_err(Error::database("begin a transaction"))?;
        declare(&mut tx, schedule, now).await?;
        tx.commit()
            .await
            .map_err(Error::database("write schedules"))?;
    }
    Ok(())
}

async fn declare(
    tx: &mut PgConnection,
    schedule: &Schedule,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (name, timing) = (schedule.kind, &schedule.timing);
    let before = StoredRow::lock(tx, name).await?;
    let next = next_after(name, &super::plan(name, timing)?, timing, now)?;
    sqlx::query!(
        r#"
        INSERT INTO syncline.schedules (name, cron, time_zone, catch_up, grace, jitter, next_run_at)
        VALUES ($1, $2, $3, $4, make_interval(secs => $5), make_interval(secs => $6), $7)
        ON CONFLICT (name) DO UPDATE
        SET cron = excluded.cron,
            time_zone = excluded.time_zone,
            catch_up = excluded.catch_up,
            grace = excluded.grace,
            jitter = excluded.jitter
        "#,
        name,
        timing.cron,
        timing.time_zone,
        timing.missed.catch_up(),
        timing.grace.as_secs_f64(),
        timing.jitter.as_secs_f64(),
        next,
    )
    .execute(&mut *tx)
    .await
    .map_err(Error::database("write schedules"))?;
    match before {
        Some(before) => before.reschedule_if_changed(tx).await,
        None => Ok(()),
    }
}

/// Enqueues the jobs of all schedules that are due, each tick once.
///
/// # Errors
/// [`Error::Database`].
pub async fn fire_due(
    connection: &mut PgConnection,
    schedules: &[Schedule],
) -> Result<Fired, Error> {
    let known: HashMap<&str, &Schedule> = schedules
        .iter()
        .map(|schedule| (schedule.kind, schedule))
        .collect();
    let names: Vec<String> = known.keys().map(|name| (*name).to_owned()).collect();
    let mut jobs = 0;
    let mut next = until_next(connection, &names).await?;
    if next == Some(Duration::ZERO) {
        let mut tx = connection
            .begin()
            .await
            .map_err(Error::database("begin a transaction"))?;
        for row in lock_due(&mut tx, &names).await? {
            if let Some(schedule) = known.get(row.name.as_str()) {
                jobs += fire(&mut tx, schedule, &row).await?;
            }
        }
        tx.commit()
            .await
            .map_err(Error::database("fire schedules"))?;
        next = until_next(connection, &names).await?;
    }
    Ok(Fired { jobs, next })
}

/// How long until one of these is due.
async fn until_next(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<Option<Duration>, Error> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT extract(epoch FROM min(greatest(next_run_at, paused_until)) - now())::float8 AS seconds
        FROM syncline.schedules
        WHERE name = ANY ($1) AND (paused_at IS NULL OR paused_until IS NOT NULL)
        "#,
        names,
    )
    .fetch_one(connection)
    .await
    .map_err(Error::database("look for the next schedule"))?;
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()))
}

/// Locks the schedules that are due; those that another scheduler has locked are its own to fire.
pub(super) async fn lock_due(
    tx: &mut PgConnection,
    names: &[String],
) -> Result<Vec<StoredRow>, Error> {
    sqlx::query_as!(
        StoredRow,
        r#"
        SELECT
            name,
            coalesce(cron_override, cron) AS "cron!",
            coalesce(time_zone_override, time_zone) AS "time_zone!",
            coalesce(catch_up_override, catch_up) AS "catch_up!",
            extract(epoch FROM coalesce(grace_override, grace))::float8 AS "grace_seconds!",
            extract(epoch FROM coalesce(jitter_override, jitter))::float8 AS "jitter_seconds!",
            next_run_at, last_tick, paused_until, now() AS "now!"
        FROM syncline.schedules
        WHERE name = ANY ($1)
          AND next_run_at <= now()
          AND (paused_at IS NULL OR paused_until <= now())
        ORDER BY name
        FOR UPDATE SKIP LOCKED
        "#,
        names,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("look for due schedules"))
}

/// Enqueues what is to happen of a due schedule and writes when it is due next; answers how many jobs.
async fn fire(tx: &mut PgConnection, schedule: &Schedule, row: &StoredRow) -> Result<usize, Error> {
    let (due, next) = what_is_due(row).unwrap_or_else(|| {
        tracing::error!(
            schedule = row.name,
            cron = row.cron,
            time_zone = row.time_zone,
            "cannot tell when a schedule is due: edit or reset it"
        );
        (Due::default(), row.now + AFTER_FAULT)
    });
    let newest = due.runs.last().map(|run| run.tick);
    if !move_on(tx, row, newest, next).await? {
        return Ok(0);
    }
    if due.has_skipped {
        metrics::counter!("syncline_schedule_runs_skipped_total", "kind" => schedule.kind)
            .increment(1);
        tracing::warn!(schedule = row.name, since = %row.next_run_at,
            "runs were missed, and some of them are left out");
    }
    if due.runs.is_empty() {
        return Ok(0);
    }
    let jobs: Vec<NewJob> = due
        .runs
        .iter()
        .map(|run| schedule.job.clone().run_at(run.run_at))
        .collect();
    let enqueued = enqueue_many(tx, &jobs).await?;
    if let Some(last) = enqueued.last() {
        note_job(tx, &row.name, last.id).await?;
    }
    Ok(enqueued.iter().filter(|job| job.is_new).count())
}

/// The runs to fire now, and when the next one is; `None` when the row holds what no edit would write.
fn what_is_due(row: &StoredRow) -> Option<(Due, DateTime<Utc>)> {
    let plan = Plan::trusting(&row.timing()).ok()?;
    // What was due while it was paused does not count.
    let first = match row.paused_until {
        Some(until) if until > row.next_run_at => plan.next_from(until)?,
        _ => row.next_run_at,
    };
    if first > row.now {
        return Some((Due::default(), first));
    }
    let mut due = plan.due(&row.name, first, row.now);
    // The clock may have gone back, from one database server to the next.
    due.runs
        .retain(|run| row.last_tick.is_none_or(|last| last < run.tick));
    let fired_until = row.last_tick.map_or(row.now, |last| last.max(row.now));
    Some((due, plan.next_after(fired_until)?))
}

/// Writes the next run over the one that was read, and ends a pause that is over; false when another
/// scheduler was faster.
async fn move_on(
    tx: &mut PgConnection,
    row: &StoredRow,
    newest: Option<DateTime<Utc>>,
    next: DateTime<Utc>,
) -> Result<bool, Error> {
    let moved = sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET next_run_at = $3,
            last_tick = coalesce($4, last_tick),
            paused_by = NULL,
            pause_reason = NULL,
            paused_at = NULL,
            paused_until = NULL
        WHERE name = $1 AND next_run_at = $2
        "#,
        row.name,
        row.next_run_at,
        next,
        newest,
    )
    .execute(tx)
    .await
    .map_err(Error::database("fire a schedule"))?;
    Ok(moved.rows_affected() == 1)
}

pub(super) async fn note_job(tx: &mut PgConnection, name: &str, job: JobId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET last_run_at = now(), last_job_id = $2
        WHERE name = $1
        "#,
        name,
        job.0,
    )
    .execute(tx)
    .await
    .map_err(Error::database("note the job of a schedule"))?;
    Ok(())
}
