//! What runs by the clock.

use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::JobId;
use queue::schedule::{self, Missed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Done,
    body::{Because, Plain, Reason, Until},
};
use crate::api::{
    extract::{Json, Path},
    field::Text,
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// A schedule: what holds, who changed it, what was and what comes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScheduleView {
    /// The kind of its jobs.
    name: String,
    /// When it runs, in words; empty when it cannot work.
    words: String,
    /// When the clock of its zone is set next, and what becomes of the runs then; null where clocks are never set.
    clock_change: Option<String>,
    cron: String,
    /// IANA name of the zone whose clock the expression is read on.
    time_zone: String,
    /// Runs that are made up for after an outage, at most.
    catch_up: u16,
    declared: Declared,
    /// Who put something in the place of what the code declares.
    edited: Option<Note>,
    paused: Option<Note>,
    last_run_at: Option<DateTime<Utc>>,
    last_job_id: Option<JobId>,
    /// The next five.
    next_runs: Vec<DateTime<Utc>>,
    /// How long it is due without being fired: no scheduler runs that knows it.
    overdue_seconds: f64,
    /// Why it cannot work, if it cannot.
    problem: Option<String>,
}

/// What the code declares.
#[derive(Debug, Serialize, ToSchema)]
struct Declared {
    cron: String,
    time_zone: String,
}

/// Who did something to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleNote)]
struct Note {
    by: String,
    reason: String,
    at: DateTime<Utc>,
    /// Of a pause; null: until somebody resumes it.
    until: Option<DateTime<Utc>>,
}

impl From<schedule::ScheduleView> for ScheduleView {
    fn from(view: schedule::ScheduleView) -> Self {
        Self {
            name: view.name,
            words: view.words,
            clock_change: view.clock_change,
            cron: view.timing.cron,
            time_zone: view.timing.time_zone,
            catch_up: match view.timing.missed {
                Missed::Skip => 0,
                Missed::One => 1,
                Missed::UpTo(most) => most,
            },
            declared: Declared {
                cron: view.declared.cron,
                time_zone: view.declared.time_zone,
            },
            edited: view.overridden.map(|edit| Note {
                by: edit.by,
                reason: edit.reason,
                at: edit.at,
                until: None,
            }),
            paused: view.paused.map(|pause| Note {
                by: pause.by,
                reason: pause.reason,
                at: pause.at,
                until: pause.until,
            }),
            last_run_at: view.last_run_at,
            last_job_id: view.last_job_id,
            next_runs: view.next_runs,
            overdue_seconds: view.overdue.as_secs_f64(),
            problem: view.problem,
        }
    }
}

/// Schedules by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScheduleList {
    schedules: Vec<ScheduleView>,
}

/// All schedules.
#[utoipa::path(get, path = "/api/ops/schedules", tag = "operations", responses((status = 200, body = ScheduleList)))]
pub(super) async fn list(State(app): State<App>) -> Result<Json<ScheduleList>, Problem> {
    let schedules = schedule::list(&app.pool).await?;
    Ok(Json(ScheduleList {
        schedules: schedules.into_iter().map(ScheduleView::from).collect(),
    }))
}

/// Enqueues a schedule's job now, beside its regular runs.
#[utoipa::path(
    post, path = "/api/ops/schedules/{name}/run", tag = "operations",
    params(("name" = String, Path, description = "The schedule."), Once),
    request_body = Because,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn run(
    ops: Ops,
    Path(name): Path<String>,
    Json(body): Json<Because>,
) -> Result<Json<Done>, Problem> {
    Ok(Done::by(ops.run_schedule(&name, body.reason()).await?))
}

/// Stops a schedule from firing. What is due meanwhile is not made up for.
#[utoipa::path(
    post, path = "/api/ops/schedules/{name}/pause", tag = "operations",
    params(("name" = String, Path, description = "The schedule."), Once),
    request_body = Until,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn pause(
    ops: Ops,
    Path(name): Path<String>,
    Json(body): Json<Until>,
) -> Result<Json<Done>, Problem> {
    ops.pause_schedule(&name, body.reason.as_str(), body.until)
        .await?;
    Ok(Done::plain())
}

/// Ends a schedule's pause.
#[utoipa::path(
    post, path = "/api/ops/schedules/{name}/resume", tag = "operations",
    params(("name" = String, Path, description = "The schedule."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn resume(
    ops: Ops,
    Path(name): Path<String>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.resume_schedule(&name).await?;
    Ok(Done::plain())
}

/// What is put in the place of what the code declares; at least one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditSchedule {
    /// `minute hour day month weekday`, or six fields with seconds first.
    cron: Option<Text<200>>,
    /// IANA name, such as `Europe/Berlin`.
    time_zone: Option<Text<100>>,
    reason: Reason,
}

/// Has a schedule run at other times. That holds over restarts, until it is reset.
#[utoipa::path(
    post, path = "/api/ops/schedules/{name}/edit", tag = "operations",
    params(("name" = String, Path, description = "The schedule."), Once),
    request_body = EditSchedule,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn edit(
    ops: Ops,
    Path(name): Path<String>,
    Json(body): Json<EditSchedule>,
) -> Result<Json<Done>, Problem> {
    let cron = body.cron.map(Text::into_string);
    let time_zone = body.time_zone.map(Text::into_string);
    ops.edit_schedule(&name, cron, time_zone, body.reason.as_str())
        .await?;
    Ok(Done::plain())
}

/// Takes every edit back: what the code declares holds again.
#[utoipa::path(
    post, path = "/api/ops/schedules/{name}/reset", tag = "operations",
    params(("name" = String, Path, description = "The schedule."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn reset(
    ops: Ops,
    Path(name): Path<String>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.reset_schedule(&name).await?;
    Ok(Done::plain())
}
