//! Schedules as people see them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::{
    plan::{Missed, Plan, Timing},
    stored::duration,
};
use crate::{error::Error, ids::JobId, workers::in_seconds};

/// Runs to come that are shown.
const SHOWN_RUNS: usize = 5;

/// A schedule: what holds, who changed it, what was and what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleView {
    /// The kind of its jobs.
    pub name: String,
    /// What holds.
    pub timing: Timing,
    /// When that is, in words; empty when it cannot work.
    pub words: String,
    /// When the clock of its zone is set next, and what becomes of the runs then; `None` where clocks are never set.
    pub clock_change: Option<String>,
    /// What the code declares; another only when somebody edited it.
    pub declared: Timing,
    /// Who edited it last, if what the code declares does not hold.
    pub overridden: Option<Override>,
    /// The pause it is in.
    pub paused: Option<Pause>,
    /// When it last fired, or was run by hand.
    pub last_run_at: Option<DateTime<Utc>>,
    /// The newest tick that fired.
    pub last_tick: Option<DateTime<Utc>>,
    /// The newest job.
    pub last_job_id: Option<JobId>,
    /// The next five ticks, without jitter; none during a pause without an end.
    pub next_runs: Vec<DateTime<Utc>>,
    /// How long it is due without being fired: no scheduler runs that knows it. Zero: it is not.
    #[serde(rename = "overdue_seconds", serialize_with = "in_seconds")]
    pub overdue: Duration,
    /// Why it cannot work, if it cannot.
    pub problem: Option<String>,
}

/// Who put something in the place of what the code declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Override {
    /// A person or an API key.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Who paused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// A person or an API key.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Until when; `None`: until somebody resumes it.
    pub until: Option<DateTime<Utc>>,
}

/// The schedules by name, at most a thousand.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(pool: &PgPool) -> Result<Vec<ScheduleView>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT
            name, cron, cron_override, time_zone, time_zone_override, catch_up, catch_up_override,
            extract(epoch FROM grace)::float8 AS "grace!",
            extract(epoch FROM grace_override)::float8 AS grace_override,
            extract(epoch FROM jitter)::float8 AS "jitter!",
            extract(epoch FROM jitter_override)::float8 AS jitter_override,
            overridden_by, override_reason, overridden_at,
            paused_by, pause_reason, paused_at, paused_until,
            next_run_at, last_run_at, last_tick, last_job_id,
            now() AS "now!"
        FROM syncline.schedules
        ORDER BY name
        LIMIT 1000
        "#
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("list the schedules"))?;
    Ok(rows.into_iter().map(Row::view).collect())
}

struct Row {
    name: String,
    cron: String,
    cron_override: Option<String>,
    time_zone: String,
    time_zone_override: Option<String>,
    catch_up: i16,
    catch_up_override: Option<i16>,
    grace: f64,
    grace_override: Option<f64>,
    jitter: f64,
    jitter_override: Option<f64>,
    overridden_by: Option<String>,
    override_reason: Option<String>,
    overridden_at: Option<DateTime<Utc>>,
    paused_by: Option<String>,
    pause_reason: Option<String>,
    paused_at: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    next_run_at: DateTime<Utc>,
    last_run_at: Option<DateTime<Utc>>,
    last_tick: Option<DateTime<Utc>>,
    last_job_id: Option<uuid::Uuid>,
    now: DateTime<Utc>,
}

impl Row {
    fn view(self) -> ScheduleView {
        let timing = self.timing();
        let paused = self.pause();
        let (plan, problem) = match Plan::of(&timing) {
            Ok(plan) => (Some(plan), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        let next_runs = plan
            .as_ref()
            .map(|plan| self.next_runs(plan, paused.as_ref()));
        let overdue = match &paused {
            Some(_) => Duration::ZERO,
            None => (self.now - self.next_run_at).to_std().unwrap_or_default(),
        };
        ScheduleView {
            declared: Timing {
                cron: self.cron,
                time_zone: self.time_zone,
                missed: Missed::from_stored(self.catch_up),
                grace: duration(self.grace),
                jitter: duration(self.jitter),
            },
            name: self.name,
            timing,
            words: plan.as_ref().map(Plan::in_words).unwrap_or_default(),
            clock_change: plan.and_then(|plan| plan.next_change(self.now)),
            overridden: self
                .overridden_at
                .zip(self.overridden_by)
                .map(|(at, by)| Override {
                    by,
                    reason: self.override_reason.unwrap_or_default(),
                    at,
                }),
            paused,
            last_run_at: self.last_run_at,
            last_tick: self.last_tick,
            last_job_id: self.last_job_id.map(JobId),
            next_runs: next_runs.unwrap_or_default(),
            overdue,
            problem,
        }
    }

    fn timing(&self) -> Timing {
        let chosen = |own: &Option<String>, declared: &str| {
            own.clone().unwrap_or_else(|| declared.to_owned())
        };
        Timing {
            cron: chosen(&self.cron_override, &self.cron),
            time_zone: chosen(&self.time_zone_override, &self.time_zone),
            missed: Missed::from_stored(self.catch_up_override.unwrap_or(self.catch_up)),
            grace: duration(self.grace_override.unwrap_or(self.grace)),
            jitter: duration(self.jitter_override.unwrap_or(self.jitter)),
        }
    }

    /// A pause that is over is none, although its end is written only when the schedule fires again.
    fn pause(&self) -> Option<Pause> {
        if self.paused_until.is_some_and(|until| until <= self.now) {
            return None;
        }
        Some(Pause {
            at: self.paused_at?,
            by: self.paused_by.clone()?,
            reason: self.pause_reason.clone()?,
            until: self.paused_until,
        })
    }

    fn next_runs(&self, plan: &Plan, paused: Option<&Pause>) -> Vec<DateTime<Utc>> {
        let first = match paused.map(|pause| pause.until) {
            Some(None) => None,
            Some(Some(until)) if until > self.next_run_at => plan.next_from(until),
            Some(Some(_)) | None => Some(self.next_run_at),
        };
        std::iter::successors(first, |run| plan.next_after(*run))
            .take(SHOWN_RUNS)
            .collect()
    }
}
