//! A schedule's row, with what holds: people's word before the code's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    next_after,
    plan::{Missed, Plan, Timing},
};
use crate::error::Error;

pub(super) struct StoredRow {
    pub(super) name: String,
    pub(super) cron: String,
    pub(super) time_zone: String,
    pub(super) catch_up: i16,
    pub(super) grace_seconds: f64,
    pub(super) jitter_seconds: f64,
    pub(super) next_run_at: DateTime<Utc>,
    pub(super) last_tick: Option<DateTime<Utc>>,
    pub(super) paused_until: Option<DateTime<Utc>>,
    pub(super) now: DateTime<Utc>,
}

impl StoredRow {
    /// Locks a schedule until the transaction ends; `None` when there is none of that name.
    pub(super) async fn lock(tx: &mut PgConnection, name: &str) -> Result<Option<Self>, Error> {
        sqlx::query_as!(
            Self,
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
            WHERE name = $1
            FOR UPDATE
            "#,
            name,
        )
        .fetch_optional(tx)
        .await
        .map_err(Error::database("lock a schedule"))
    }

    pub(super) fn timing(&self) -> Timing {
        Timing {
            cron: self.cron.clone(),
            time_zone: self.time_zone.clone(),
            missed: Missed::from_stored(self.catch_up),
            grace: duration(self.grace_seconds),
            jitter: duration(self.jitter_seconds),
        }
    }

    /// Writes a new next run when another expression or zone holds than when this was read.
    pub(super) async fn reschedule_if_changed(self, tx: &mut PgConnection) -> Result<(), Error> {
        let Some(after) = Self::lock(tx, &self.name).await? else {
            return Ok(());
        };
        if (&self.cron, &self.time_zone) == (&after.cron, &after.time_zone) {
            return Ok(());
        }
        after.reschedule(tx).await
    }

    /// Writes the first run that is still to come, and has not been.
    pub(super) async fn reschedule(self, tx: &mut PgConnection) -> Result<(), Error> {
        let timing = self.timing();
        let plan = Plan::trusting(&timing).map_err(Error::schedule(&self.name))?;
        let from = self.last_tick.map_or(self.now, |last| last.max(self.now));
        let next = next_after(&self.name, &plan, &timing, from)?;
        sqlx::query!(
            "UPDATE syncline.schedules SET next_run_at = $2 WHERE name = $1",
            self.name,
            next,
        )
        .execute(tx)
        .await
        .map_err(Error::database("write a schedule's next run"))?;
        Ok(())
    }
}

/// Of what the schema keeps from being negative.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
