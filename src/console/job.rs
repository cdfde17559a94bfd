//! One job: all that is known of it, and what can be done with it.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use phrases::{Phrase, mark, say};
use queue::admin::{Cancelled, Edit};
use queue::notes::Notes;
use queue::{JobDetail, JobId, JobState, JobView, WorkerId};
use store::audit::{self, EntryFilter};

use super::{
    audit::EntryRow,
    fault::Fault,
    guard::{Form, Visit},
    jobs::encoded,
    page::{self, Frame},
    query::parse_time,
    shown::{When, short, stamp, took},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::{Deed, jobs::told, redact, words::done};

/// Entries of the audit log that are shown with what they are about.
pub(super) const ENTRIES: u16 = 50;

#[derive(Debug, Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    job: JobView,
    detail: JobDetail,
    state: &'static str,
    why: Option<Said>,
    is_waiting: bool,
    account: Option<String>,
    lane_query: String,
    created_at: When,
    run_at: When,
    run_at_input: String,
    finished_at: Option<When>,
    spans: Vec<SpanRow>,
    actions: Vec<Action>,
    payload: String,
    result: Option<String>,
    entries: Vec<EntryRow>,
}

#[derive(Debug)]
struct SpanRow {
    attempt: u16,
    outcome: String,
    began: When,
    exact: Said,
    took: Said,
    worker: Option<WorkerId>,
    worker_short: String,
    class: String,
    http: String,
    message: String,
    notes: Option<Notes>,
}

/// Something that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) deed: Deed,
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) hint: &'static str,
    pub(super) needs_reason: bool,
    pub(super) is_grave: bool,
}

const RETRY: Action = Action {
    deed: Deed::JobRetry,
    path: "retry",
    name: mark!("Retry"),
    hint: mark!("It runs again with a fresh set of attempts."),
    needs_reason: false,
    is_grave: false,
};
const RETRY_NOW: Action = Action {
    deed: Deed::JobRetryNow,
    path: "retry-now",
    name: mark!("Run now"),
    hint: mark!("It starts at once, as far as its lane allows."),
    needs_reason: false,
    is_grave: false,
};
const SNOOZE: Action = Action {
    deed: Deed::JobSnooze,
    path: "snooze",
    name: mark!("Snooze"),
    hint: mark!("No attempt is used."),
    needs_reason: false,
    is_grave: false,
};
const EDIT: Action = Action {
    deed: Deed::JobEdit,
    path: "edit",
    name: mark!("Edit"),
    hint: mark!("Time and priority; the payload stays what it was."),
    needs_reason: false,
    is_grave: false,
};
const CANCEL: Action = Action {
    deed: Deed::JobCancel,
    path: "cancel",
    name: mark!("Cancel"),
    hint: mark!("It ends as cancelled; one that runs is asked to stop."),
    needs_reason: true,
    is_grave: true,
};
const DELETE: Action = Action {
    deed: Deed::JobDelete,
    path: "delete",
    name: mark!("Delete"),
    hint: mark!("For good: it cannot be brought back."),
    needs_reason: true,
    is_grave: true,
};

/// What can be done with a job as it stands.
fn actions(state: JobState) -> &'static [Action] {
    match state {
        JobState::Scheduled | JobState::Available | JobState::Retryable => {
            &[RETRY_NOW, SNOOZE, EDIT, CANCEL, DELETE]
        }
        JobState::Running => &[CANCEL],
        JobState::Completed | JobState::Cancelled => &[RETRY],
        JobState::Dead => &[RETRY, DELETE],
    }
}

/// The first parameter of the path; one that cannot be is an id of nothing.
pub(super) fn parameter<T: std::str::FromStr>(
    path: &RawPathParams,
    name: &str,
    what: &'static str,
) -> Result<T, Fault> {
    let found = path.iter().find(|(known, _)| *known == name);
    let parsed = found.and_then(|(_, value)| value.parse().ok());
    parsed.ok_or_else(|| Fault::missing(what))
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id: JobId = parameter(&path, "id", mark!("job"))?;
    let detail = app.queue.detail(id).await?;
    let detail = detail.ok_or_else(|| Fault::missing(mark!("job; or it went with its day")))?;
    let entries = entries_of(&app, &id.to_string(), visit.now).await?;
    page::render(visit.reader, &JobPage::of(&visit, detail, entries))
}

/// What people did to something.
pub(super) async fn entries_of(
    app: &App,
    target: &str,
    now: DateTime<Utc>,
) -> Result<Vec<EntryRow>, Fault> {
    let mut conn = app.pool.acquire().await?;
    let filter = EntryFilter {
        target: Some(target),
        before: None,
    };
    let entries = audit::list(&mut conn, &filter, ENTRIES).await?;
    Ok(entries
        .into_iter()
        .map(|entry| EntryRow::of(entry, now))
        .collect())
}

impl JobPage {
    fn of(visit: &Visit, detail: JobDetail, entries: Vec<EntryRow>) -> Self {
        let (job, now) = (detail.job.clone(), visit.now);
        let spans = detail.timeline.iter().map(|span| SpanRow {
            attempt: span.attempt,
            outcome: span.outcome.clone(),
            began: When::new(span.started_at, now),
            exact: When::new(span.started_at, now).exact(),
            took: took(span.finished_at.unwrap_or(now) - span.started_at).into(),
            worker: span.worker,
            worker_short: span.worker.map(short).unwrap_or_default(),
            class: span.error_class.clone().unwrap_or_default(),
            http: span
                .http_status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            message: span.message.clone().unwrap_or_default(),
            notes: span.notes.clone(),
        });
        let why = detail.why_not_running.clone();
        let why = why.or_else(|| told(&job, now));
        let offered = actions(job.state).iter().copied();
        let is_waiting = JobState::WAITING.contains(&job.state);
        Self {
            frame: Frame::of(
                visit,
                "jobs",
                Phrase::verbatim(format!("{} {}", job.kind, short(job.id))),
            ),
            state: job.state.as_str(),
            why: why.map(Said::from),
            is_waiting,
            account: job.lane.as_str().strip_prefix("acct:").map(str::to_owned),
            lane_query: encoded(job.lane.as_str()),
            created_at: When::new(job.created_at, now),
            run_at: When::new(job.run_at, now),
            run_at_input: stamp(job.run_at).replace(' ', "T"),
            finished_at: When::maybe(job.finished_at, now),
            spans: spans.collect(),
            actions: offered
                .filter(|action| visit.actor.may(action.deed))
                .collect(),
            payload: redact::shown(&detail.payload),
            result: job.result.as_ref().map(redact::shown),
            entries,
            job,
            detail,
        }
    }
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let id: JobId = parameter(&path, "id", mark!("job"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    let (ops, reason) = (visit.ops(&app), form.text("reason"));
    let page = format!("jobs/{id}");
    match action.as_str() {
        "retry" => {
            let lives_as = ops.retry_job(id, reason).await?;
            let notice = if lives_as == id {
                done(Deed::JobRetry)
            } else {
                say!("This new job does it again.")
            };
            visit.done(&app, &format!("jobs/{lives_as}"), notice).await
        }
        "retry-now" => {
            ops.retry_job_now(id, reason).await?;
            visit.done(&app, &page, done(Deed::JobRetryNow)).await
        }
        "snooze" => {
            let span = span_of(&form)?
                .ok_or_else(|| Fault::field("for", mark!("must be a span of time")))?;
            ops.snooze_job(id, visit.now + span, reason).await?;
            visit.done(&app, &page, done(Deed::JobSnooze)).await
        }
        "edit" => {
            let edit = Edit {
                run_at: form.text("run_at").map(parse_time).transpose()?,
                priority: form
                    .parsed("priority", mark!("must be a number from -32768 to 32767"))?,
            };
            ops.edit_job(id, edit, reason).await?;
            visit.done(&app, &page, done(Deed::JobEdit)).await
        }
        "cancel" => {
            let notice = match ops.cancel_job(id, form.need("reason")?).await? {
                Cancelled::Ended => done(Deed::JobCancel),
                Cancelled::Requested => say!("Its worker was asked to stop it."),
            };
            visit.done(&app, &page, notice).await
        }
        "delete" => {
            ops.delete_job(id, form.need("reason")?).await?;
            visit.done(&app, "jobs", done(Deed::JobDelete)).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}

/// The span of time that was chosen, if one was.
pub(super) fn span_of(form: &Form) -> Result<Option<TimeDelta>, Fault> {
    let rule = mark!("must be a span of time such as 1h");
    let Some(text) = form.text("for") else {
        return Ok(None);
    };
    let span = humantime::parse_duration(text).ok();
    let span = span.and_then(|span| TimeDelta::from_std(span).ok());
    let span = span.filter(|span| *span <= TimeDelta::days(366));
    span.map(Some).ok_or_else(|| Fault::field("for", rule))
}
