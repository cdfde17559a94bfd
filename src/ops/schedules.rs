//! Schedules: now, not now, otherwise.

use chrono::{DateTime, Utc};
use phrases::{Phrase, mark, say};
use queue::JobId;
use queue::schedule::{self, By, Edit, Missed, ScheduleView};
use serde_json::json;

use super::{Deed, Error, Ops};

/// How a schedule is, in one word.
pub fn state(view: &ScheduleView) -> &'static str {
    match (&view.problem, &view.paused, view.overdue.as_secs() > 60) {
        (Some(_), _, _) => mark!("broken"),
        (_, Some(_), _) => mark!("paused"),
        (_, _, true) => mark!("late"),
        (None, None, false) => mark!("open"),
    }
}

/// What becomes of missed runs; follows "missed runs:".
pub fn missed(missed: Missed) -> Phrase {
    match missed {
        Missed::Skip => say!("are left out"),
        Missed::One => say!("one stands for all"),
        Missed::UpTo(most) => say!("the newest are made up for, {most} at most", most),
    }
}

impl Ops {
    fn by<'a>(&'a self, reason: &'a str) -> By<'a> {
        By {
            name: &self.actor.name,
            reason,
        }
    }

    /// Enqueues a schedule's job now, beside its regular runs.
    pub async fn run_schedule(&self, name: &str, reason: &str) -> Result<JobId, Error> {
        let mut change = self.begin(Deed::ScheduleRun).await?;
        let schedules = jobs::registry().schedules();
        let by = self.by(reason);
        let enqueued = schedule::run_now(change.connection(), &schedules, name, by).await?;
        change.makes(enqueued.id);
        let detail = json!({ "job_id": enqueued.id });
        change.done(name, Some(reason), detail).await?;
        Ok(enqueued.id)
    }

    /// Stops a schedule from firing, until a time or until somebody resumes it.
    pub async fn pause_schedule(
        &self,
        name: &str,
        reason: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let mut change = self.begin(Deed::SchedulePause).await?;
        schedule::pause(change.connection(), name, self.by(reason), until).await?;
        let detail = json!({ "until": until });
        change.done(name, Some(reason), detail).await
    }

    /// Ends a pause.
    pub async fn resume_schedule(&self, name: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::ScheduleResume).await?;
        let by = self.by(Deed::ScheduleResume.as_str());
        schedule::resume(change.connection(), name, by).await?;
        change.done(name, None, json!({})).await
    }

    /// Puts another expression or time zone in the place of what the code declares.
    pub async fn edit_schedule(
        &self,
        name: &str,
        cron: Option<String>,
        time_zone: Option<String>,
        reason: &str,
    ) -> Result<(), Error> {
        self.demand(Deed::ScheduleEdit)?;
        let all = schedule::list(&self.pool).await?;
        let before = all.into_iter().find(|schedule| schedule.name == name);
        let before = before.map(|schedule| (schedule.timing.cron, schedule.timing.time_zone));
        let after = (cron.clone(), time_zone.clone());
        let mut change = self.begin(Deed::ScheduleEdit).await?;
        let edit = Edit {
            cron,
            time_zone,
            ..Edit::default()
        };
        schedule::edit(change.connection(), name, edit, self.by(reason)).await?;
        let detail = json!({ "before": before, "after": after });
        change.done(name, Some(reason), detail).await
    }

    /// Takes back every edit: what the code declares holds again.
    pub async fn reset_schedule(&self, name: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::ScheduleReset).await?;
        let by = self.by(Deed::ScheduleReset.as_str());
        schedule::reset(change.connection(), name, by).await?;
        change.done(name, None, json!({})).await
    }
}
