//! What people do to schedules while the service runs. Each change is kept with who made it, and why.
//!
//! Given a pool, a change is a transaction of its own; given a connection with an open one, a part of that.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgConnection, Postgres};

use super::{
    Schedule, fire,
    plan::{Missed, Timing},
    stored::StoredRow,
};
use crate::{
    enqueue::{Enqueued, enqueue},
    error::Error,
    ids::check_name,
};

const MAX_NAME_BYTES: usize = 200;
const MAX_REASON_BYTES: usize = 2_000;

/// Who does something, and why.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// A person or an API key, for people.
    pub name: &'a str,
    /// For people, too.
    pub reason: &'a str,
}

/// What to put in the place of what the code declares; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Cron expression.
    pub cron: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// What becomes of runs that were missed.
    pub missed: Option<Missed>,
    /// A run that fires later than this was missed.
    pub grace: Option<Duration>,
    /// Each run is put off by up to this.
    pub jitter: Option<Duration>,
}

/// Stops a schedule from firing, until a time or until somebody resumes it. What is due meanwhile is never
/// made up for. Pausing what is paused replaces the pause.
///
/// # Errors
/// [`Error::UnknownSchedule`], [`Error::InvalidName`], [`Error::Database`].
pub async fn pause<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    name: &str,
    by: By<'_>,
    until: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let mut change = Change::begin(at, name, "pause", by).await?;
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET paused_by = $2, pause_reason = $3, paused_at = now(), paused_until = $4
        WHERE name = $1
        "#,
        name,
        by.name,
        by.reason,
        until,
    )
    .execute(&mut *change.tx)
    .await
    .map_err(Error::database("pause a schedule"))?;
    change.commit().await
}

/// Ends a pause: the next run is the first that is still to come. Changes nothing when there is none.
///
/// # Errors
/// [`Error::UnknownSchedule`], [`Error::InvalidName`], [`Error::Database`].
pub async fn resume<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    name: &str,
    by: By<'_>,
) -> Result<(), Error> {
    let mut change = Change::begin(at, name, "resume", by).await?;
    let resumed = sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET paused_by = NULL, pause_reason = NULL, paused_at = NULL, paused_until = NULL
        WHERE name = $1 AND paused_at IS NOT NULL
        "#,
        name,
    )
    .execute(&mut *change.tx)
    .await
    .map_err(Error::database("resume a schedule"))?;
    if resumed.rows_affected() == 0 {
        return Ok(());
    }
    change.reschedule().await?;
    change.commit().await
}

/// Puts something else in the place of what the code declares, until [`reset`].
///
/// # Errors
/// [`Error::Schedule`] when that cannot work, with what the schedule has else; nothing is changed then.
/// [`Error::UnknownSchedule`], [`Error::InvalidName`], [`Error::Database`].
pub async fn edit<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    name: &str,
    edit: Edit,
    by: By<'_>,
) -> Result<(), Error> {
    let mut change = Change::begin(at, name, "edit", by).await?;
    let before = change.row.timing();
    let timing = Timing {
        cron: edit.cron.clone().unwrap_or(before.cron),
        time_zone: edit.time_zone.clone().unwrap_or(before.time_zone),
        missed: edit.missed.unwrap_or(before.missed),
        grace: edit.grace.unwrap_or(before.grace),
        jitter: edit.jitter.unwrap_or(before.jitter),
    };
    super::plan(name, &timing)?;
    let is_empty = edit.cron.is_none()
        && edit.time_zone.is_none()
        && edit.missed.is_none()
        && edit.grace.is_none()
        && edit.jitter.is_none();
    if is_empty {
        return Ok(());
    }
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET cron_override = coalesce($2, cron_override),
            time_zone_override = coalesce($3, time_zone_override),
            catch_up_override = coalesce($4, catch_up_override),
            grace_override = coalesce(make_interval(secs => $5), grace_override),
            jitter_override = coalesce(make_interval(secs => $6), jitter_override),
            overridden_by = $7,
            override_reason = $8,
            overridden_at = now()
        WHERE name = $1
        "#,
        name,
        edit.cron,
        edit.time_zone,
        edit.missed.map(Missed::catch_up),
        edit.grace.map(|grace| grace.as_secs_f64()),
        edit.jitter.map(|jitter| jitter.as_secs_f64()),
        by.name,
        by.reason,
    )
    .execute(&mut *change.tx)
    .await
    .map_err(Error::database("edit a schedule"))?;
    change.reschedule().await?;
    change.commit().await
}

/// Takes back every edit: what the code declares holds again.
///
/// # Errors
/// [`Error::UnknownSchedule`], [`Error::InvalidName`], [`Error::Database`].
pub async fn reset<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    name: &str,
    by: By<'_>,
) -> Result<(), Error> {
    let mut change = Change::begin(at, name, "reset", by).await?;
    sqlx::query!(
        r#"
        UPDATE syncline.schedules
        SET cron_override = NULL,
            time_zone_override = NULL,
            catch_up_override = NULL,
            grace_override = NULL,
            jitter_override = NULL,
            overridden_by = NULL,
            override_reason = NULL,
            overridden_at = NULL
        WHERE name = $1
        "#,
        name,
    )
    .execute(&mut *change.tx)
    .await
    .map_err(Error::database("reset a schedule"))?;
    change.reschedule().await?;
    change.commit().await
}

/// Enqueues a schedule's job now, beside its regular runs, paused or not. Wake the workers afterwards
/// ([`crate::Client::wake`]).
///
/// # Errors
/// [`Error::UnknownSchedule`], also when none of `schedules` has that name; [`Error::InvalidName`],
/// [`Error::Database`].
pub async fn run_now<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    schedules: &[Schedule],
    name: &str,
    by: By<'_>,
) -> Result<Enqueued, Error> {
    let Some(schedule) = schedules.iter().find(|schedule| schedule.kind == name) else {
        return Err(unknown(name, schedules.iter().map(Schedule::kind)));
    };
    let mut change = Change::begin(at, name, "run", by).await?;
    let enqueued = enqueue(&mut *change.tx, &schedule.job).await?;
    fire::note_job(&mut change.tx, name, enqueued.id).await?;
    change.commit().await?;
    Ok(enqueued)
}

/// Removes a schedule that no code declares any more. One that is declared is back, without edits and
/// pause, at the next start of a scheduler.
///
/// # Errors
/// [`Error::UnknownSchedule`], [`Error::InvalidName`], [`Error::Database`].
pub async fn remove<'c>(
    at: impl Acquire<'c, Database = Postgres>,
    name: &str,
    by: By<'_>,
) -> Result<(), Error> {
    let mut change = Change::begin(at, name, "remove", by).await?;
    sqlx::query!("DELETE FROM syncline.schedules WHERE name = $1", name)
        .execute(&mut *change.tx)
        .await
        .map_err(Error::database("remove a schedule"))?;
    change.commit().await
}

/// A change under way: the schedule is locked, and who changes it is noted.
struct Change<'c> {
    tx: sqlx::Transaction<'c, Postgres>,
    row: StoredRow,
}

impl<'c> Change<'c> {
    async fn begin(
        at: impl Acquire<'c, Database = Postgres>,
        name: &str,
        change: &'static str,
        by: By<'_>,
    ) -> Result<Self, Error> {
        check_name("name of who does it", by.name, MAX_NAME_BYTES)?;
        check_name("reason", by.reason, MAX_REASON_BYTES)?;
        let mut tx = at
            .begin()
            .await
            .map_err(Error::database("begin a transaction"))?;
        let Some(row) = StoredRow::lock(&mut tx, name).await? else {
            return Err(unknown(name, names(&mut tx).await?));
        };
        sqlx::query!(
            r#"
            INSERT INTO syncline.schedule_changes (name, change, changed_by, reason)
            VALUES ($1, $2, $3, $4)
            "#,
            name,
            change,
            by.name,
            by.reason,
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("note a change of a schedule"))?;
        Ok(Self { tx, row })
    }

    /// Writes the next run anew, by what holds now.
    async fn reschedule(&mut self) -> Result<(), Error> {
        match StoredRow::lock(&mut self.tx, &self.row.name).await? {
            Some(row) => row.reschedule(&mut self.tx).await,
            None => Ok(()),
        }
    }

    async fn commit(self) -> Result<(), Error> {
        self.tx
            .commit()
            .await
            .map_err(Error::database("change a schedule"))
    }
}

fn unknown(name: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Error {
    let known: Vec<String> = known
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    Error::UnknownSchedule {
        name: name.chars().take(80).collect(),
        known: known.join(", "),
    }
}

async fn names(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!("SELECT name FROM syncline.schedules ORDER BY name LIMIT 100")
        .fetch_all(connection)
        .await
        .map_err(Error::database("read the schedules"))
}
