//! Queues, lanes, and what is paused.

use askama::Template;
use axum::{
    extract::{RawPathParams, RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, plural, say};
use queue::lanes::{self, LaneView};
use queue::pause::{Pause, Scope};
use queue::rollups::{self, Window};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::{parameter, span_of},
    jobs::{cut, encoded},
    overview::QueueRow,
    page::{self, Frame},
    shown::When,
    times::{self, TimesRow},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::Deed;
use crate::ops::health::Snapshot;
use crate::ops::words::done;

/// Lanes of each sort on the page.
const LANES: u16 = 50;

#[derive(Debug, Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    frame: Frame,
    pauses: Vec<PauseRow>,
    queues: Vec<QueueRow>,
    windows: [(&'static str, &'static str, bool); 3],
    times: Vec<TimesRow>,
    kinds: Vec<&'static str>,
    lanes: Vec<LaneRow>,
}

#[derive(Debug)]
struct PauseRow {
    scope: &'static str,
    name: String,
    by: String,
    reason: String,
    since: When,
    until: Option<When>,
}

impl PauseRow {
    fn of(pause: Pause, now: DateTime<Utc>) -> Self {
        let (scope, name) = pause.scope.columns();
        Self {
            scope,
            name: name.to_owned(),
            by: pause.paused_by,
            reason: pause.reason,
            since: When::new(pause.paused_at, now),
            until: When::maybe(pause.paused_until, now),
        }
    }
}

/// A lane, as it is shown.
#[derive(Debug)]
pub(super) struct LaneRow {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) account: Option<String>,
    pub(super) crashes: i16,
    pub(super) crashed: Said,
    /// What runs in it and waits for it.
    pub(super) load: Said,
    pub(super) running: i64,
    pub(super) due: String,
    pub(super) scheduled: i64,
    pub(super) oldest: Option<When>,
    pub(super) worker: String,
    pub(super) rests: Option<When>,
    pub(super) reason: String,
}

impl LaneRow {
    pub(super) fn of(lane: LaneView, now: DateTime<Utc>) -> Self {
        let name = lane.lane.as_str().to_owned();
        let most = if lane.due >= lanes::MOST_COUNTED {
            "+"
        } else {
            ""
        };
        let due = format!("{}{most}", lane.due);
        let load = say!("{running} running, {due} due, {scheduled} scheduled")
            .with("running", lane.running)
            .with("due", &due)
            .with("scheduled", lane.scheduled);
        let load = match &lane.owner_process {
            Some(worker) => say!("{load}, with {worker}", load, worker),
            None => load,
        };
        let blocked_until = lane.blocked_until.filter(|until| *until > now);
        Self {
            query: encoded(&name),
            account: name.strip_prefix("acct:").map(str::to_owned),
            name,
            crashes: lane.crashes,
            crashed: say!("{crashes} crashes", crashes = i64::from(lane.crashes)).into(),
            load: load.into(),
            running: lane.running,
            due,
            scheduled: lane.scheduled,
            oldest: When::maybe(lane.oldest_due_at, now),
            worker: lane.owner_process.unwrap_or_default(),
            reason: match blocked_until {
                Some(_) => cut(&lane.blocked_reason.unwrap_or_default(), 160),
                None => String::new(),
            },
            rests: When::maybe(blocked_until, now),
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let named = query.text("window").unwrap_or(Window::Hour.as_str());
    let window = Window::ALL
        .into_iter()
        .find(|window| window.as_str() == named);
    let window = window.ok_or_else(|| Fault::field("window", mark!("must be 1h, 24h or 7d")))?;
    let rollup = rollups::read(&app.pool, window, true).await?;
    let snapshot = Snapshot::take(&app.pool, visit.now).await?;
    let lanes = lanes::list(&app.pool, LANES).await?;
    page::render(
        visit.reader,
        &QueuesPage {
            frame: Frame::of(&visit, "queues", say!("Queues and lanes")),
            queues: QueueRow::all(&app, &snapshot),
            pauses: snapshot
                .pauses
                .into_iter()
                .map(|pause| PauseRow::of(pause, visit.now))
                .collect(),
            windows: Window::ALL
                .map(|other| (other.as_str(), times::in_words(other), other == window)),
            times: TimesRow::of_queues(&rollup),
            kinds: jobs::registry().kinds(),
            lanes: lanes
                .into_iter()
                .map(|lane| LaneRow::of(lane, visit.now))
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
    let action: String = parameter(&path, "action", mark!("action"))?;
    if action == "check-counts" {
        let differences = visit.ops(&app).check_counts().await?;
        let notice = match differences.len() as u64 {
            0 => done(Deed::CountsCheck),
            wrong => plural!(
                "{counts} count was wrong, and put right: see the audit log.",
                "{counts} counts were wrong, and put right: see the audit log.",
                counts = wrong
            ),
        };
        return visit.done(&app, "queues", notice).await;
    }
    let (kind, name) = (form.need("scope")?, form.text("name").unwrap_or_default());
    let name = if kind == "everything" { "" } else { name };
    let scope = Scope::from_columns(kind, name.to_owned());
    let scope =
        scope.ok_or_else(|| Fault::field("name", mark!("must be that of a queue there is")))?;
    match action.as_str() {
        "pause" => {
            let until = span_of(&form)?.map(|span| visit.now + span);
            visit
                .ops(&app)
                .pause(&scope, form.need("reason")?, until)
                .await?;
            let notice = done(Deed::Pause);
            visit.done(&app, "queues", notice).await
        }
        "resume" => {
            visit.ops(&app).resume(&scope).await?;
            visit.done(&app, "queues", done(Deed::Resume)).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
