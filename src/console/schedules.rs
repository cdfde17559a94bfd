//! What runs by the clock.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use queue::JobId;
use queue::schedule::{self, ScheduleView};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::{parameter, span_of},
    jobs::encoded,
    page::{self, Frame},
    shown::{When, age},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::Deed;
use crate::ops::schedules::{missed, state};
use crate::ops::words::done;

#[derive(Debug, Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    schedules: Vec<ScheduleRow>,
}

#[derive(Debug)]
struct ScheduleRow {
    name: String,
    /// As a part of an address.
    path: String,
    state: &'static str,
    words: String,
    clock_change: Option<String>,
    problem: Option<String>,
    cron: String,
    time_zone: String,
    last: Option<When>,
    last_job: Option<JobId>,
    next: Vec<When>,
    missed: Said,
    pause: Option<Said>,
    edited: Option<Said>,
    declared: String,
}

impl ScheduleRow {
    fn of(view: ScheduleView, now: DateTime<Utc>) -> Self {
        let until = |until: Option<DateTime<Utc>>| match until {
            Some(until) => say!("until {at}", at = until),
            None => say!("until somebody resumes it"),
        };
        Self {
            state: state(&view),
            words: view.words,
            clock_change: view.clock_change,
            problem: view.problem,
            cron: view.timing.cron,
            time_zone: view.timing.time_zone,
            last: When::maybe(view.last_run_at, now),
            last_job: view.last_job_id,
            next: view
                .next_runs
                .into_iter()
                .map(|run| When::new(run, now))
                .collect(),
            missed: missed(view.timing.missed).into(),
            pause: view.paused.map(|pause| {
                say!(
                    "by {by} {age} ago, {until}: {reason}",
                    by = &pause.by,
                    age = age(now - pause.at),
                    until = until(pause.until),
                    reason = &pause.reason
                )
                .into()
            }),
            edited: view.overridden.map(|edit| {
                say!(
                    "by {by} {age} ago: {reason}",
                    by = &edit.by,
                    age = age(now - edit.at),
                    reason = &edit.reason
                )
                .into()
            }),
            declared: format!("{} {}", view.declared.cron, view.declared.time_zone),
            path: encoded(&view.name),
            name: view.name,
        }
    }
}

pub(super) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let schedules = schedule::list(&app.pool).await?;
    page::render(
        visit.reader,
        &SchedulesPage {
            frame: Frame::of(&visit, "schedules", say!("Schedules")),
            schedules: schedules
                .into_iter()
                .map(|view| ScheduleRow::of(view, visit.now))
                .collect(),
        },
    )
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let name: String = parameter(&path, "name", mark!("schedule"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    let (ops, page) = (visit.ops(&app), format!("schedules#schedule-{name}"));
    match action.as_str() {
        "run" => {
            let job = ops.run_schedule(&name, form.need("reason")?).await?;
            visit
                .done(&app, &format!("jobs/{job}"), say!("This is its job."))
                .await
        }
        "pause" => {
            let until = span_of(&form)?.map(|span| visit.now + span);
            ops.pause_schedule(&name, form.need("reason")?, until)
                .await?;
            visit.done(&app, &page, done(Deed::SchedulePause)).await
        }
        "resume" => {
            ops.resume_schedule(&name).await?;
            visit.done(&app, &page, done(Deed::ScheduleResume)).await
        }
        "edit" => {
            let text = |field| form.text(field).map(str::to_owned);
            let reason = form.need("reason")?;
            ops.edit_schedule(&name, text("cron"), text("time_zone"), reason)
                .await?;
            visit.done(&app, &page, done(Deed::ScheduleEdit)).await
        }
        "reset" => {
            ops.reset_schedule(&name).await?;
            visit.done(&app, &page, done(Deed::ScheduleReset)).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
