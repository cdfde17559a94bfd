//! Cron schedules, kept in the database.
//!
//! The code declares them ([`crate::Job::SCHEDULE`]); each start of a scheduler writes what it declares.
//! People may put something else in its place ([`edit`]), and that holds, over restarts and deployments,
//! until they take it back ([`reset`]): then the code's word holds again, the newest.
//!
//! **Once.** A due schedule is locked, its jobs enqueued and its next run written in one transaction, and
//! the next run is only written over the one that was read. So a tick fires once whatever the number of
//! schedulers, and no tick fires that is not newer than the last one.
//!
//! **Missed runs.** Runs that are due, but later than the schedule's grace, were missed: nothing ran that
//! could fire them. [`Missed`] says what becomes of them. A pause is no outage: runs that are due while a
//! schedule is paused are never made up for.
//!
//! **Clocks that change.** Fixed times (`30 2 * * *`) come once each day: at the end of the leap when the
//! clock leaps over them in spring, and the first time when it shows them twice in autumn. Intervals
//! (a `*` among seconds, minutes and hours) follow the clock: they skip what it leaps over, and come again
//! when it shows an hour again.
//!
//! **Jitter** puts the start of a run's job off, by a delay that only depends on the schedule's name and the
//! tick: the same whichever process fires it, and spread evenly over many ticks.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::{enqueue::NewJob, error::Error, job::Job};

mod calendar;
mod change;
mod fire;
mod list;
mod plan;
mod stored;

pub use change::{By, Edit, edit, pause, remove, reset, resume, run_now};
pub use fire::{Fired, fire_due, run, sync};
pub use list::{Override, Pause, ScheduleView, list};
pub use plan::{Fault, MAX_CATCH_UP, MAX_GRACE, Missed, ScheduleSpec, Timing};

/// A job that runs by the clock, as the code declares it.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: &'static str,
    timing: Timing,
    job: NewJob,
}

impl Schedule {
    /// The schedule of `J`.
    ///
    /// # Errors
    /// [`Error::Schedule`] for what cannot work, [`Error::Decode`] when `J` needs more than an empty payload.
    pub fn of<J: Job>(spec: ScheduleSpec) -> Result<Self, Error> {
        let timing = spec.timing();
        plan(J::KIND, &timing)?;
        let job: J =
            serde_json::from_value(serde_json::json!({})).map_err(|source| Error::Decode {
                kind: J::KIND,
                source,
            })?;
        Ok(Self {
            kind: J::KIND,
            timing,
            job: NewJob::new(&job)?,
        })
    }

    /// The kind whose job it enqueues; also the schedule's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

/// The plan of a timing that somebody gives.
fn plan(name: &str, timing: &Timing) -> Result<plan::Plan, Error> {
    plan::Plan::of(timing).map_err(Error::schedule(name))
}

/// The first run after a moment, which a checked plan always has.
fn next_after(
    name: &str,
    plan: &plan::Plan,
    timing: &Timing,
    moment: DateTime<Utc>,
) -> Result<DateTime<Utc>, Error> {
    let cron = || timing.cron.clone();
    plan.next_after(moment)
        .ok_or_else(|| Error::schedule(name)(Fault::NoNextRun { cron: cron() }))
}

pub(crate) async fn database_now(database: impl PgExecutor<'_>) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
        .fetch_one(database)
        .await
        .map_err(Error::database("ask the time"))
}

#[cfg(test)]
mod tests;
