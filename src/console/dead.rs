//! Dead jobs, by what they died of.

use askama::Template;
use axum::{
    extract::{RawPathParams, RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, plural, say};
use queue::admin::groups::{self, DeadGroup};
use queue::admin::{self, Filter};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    jobs::{JobRow, cut},
    page::{self, Frame},
    shown::{Bar, Number, When, bars, grouped},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::{
    Deed,
    groups::standing,
    words::{ago, done},
};

/// Groups on the page.
const GROUPS: u16 = 200;
/// Jobs shown of a group.
const NEWEST: u16 = 10;

#[derive(Debug, Template)]
#[template(path = "dead.html")]
struct DeadPage {
    frame: Frame,
    shows_resolved: bool,
    groups: Vec<GroupRow>,
}

#[derive(Debug, Template)]
#[template(path = "group.html")]
struct GroupPage {
    frame: Frame,
    group: GroupRow,
    jobs: Vec<JobRow>,
}

#[derive(Debug)]
struct GroupRow {
    fingerprint: String,
    kind: String,
    class: String,
    message: String,
    jobs: Number,
    lanes: Number,
    first: When,
    last: When,
    /// How many died of it, and where.
    story: Said,
    bars: Vec<Bar>,
    label: Said,
    is_resolved: bool,
    resolution: Option<Said>,
}

impl GroupRow {
    fn of(group: DeadGroup, now: DateTime<Utc>) -> Self {
        let is_open = group.is_open();
        let resolution = standing(&group, now).map(Said::from);
        let story = plural!(
            "{jobs} job dead in {lanes}, the first {first}, the last {last}.",
            "{jobs} jobs dead in {lanes}, the first {first}, the last {last}.",
            jobs = group.jobs.unsigned_abs(),
            lanes = plural!(
                "{count} lane",
                "{count} lanes",
                count = group.lanes.unsigned_abs()
            ),
            first = ago(group.first_seen_at, now),
            last = ago(group.last_seen_at, now)
        );
        let today: i64 = group.trend.iter().sum();
        Self {
            class: match group.http_status {
                Some(status) => format!("{} {status}", group.error_class),
                None => group.error_class,
            },
            fingerprint: group.fingerprint,
            kind: group.kind,
            message: group.message,
            jobs: grouped(group.jobs.unsigned_abs()),
            lanes: grouped(group.lanes.unsigned_abs()),
            story: story.into(),
            first: When::new(group.first_seen_at, now),
            last: When::new(group.last_seen_at, now),
            label: say!("{count} in the last 24 hours", count = today).into(),
            bars: bars(group.trend),
            is_resolved: !is_open,
            resolution,
        }
    }

    /// For a list: what needs little room.
    fn brief(mut self) -> Self {
        self.message = cut(&self.message, 240);
        self
    }
}

pub(super) async fn list(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let shows_resolved = query.text("resolved").is_some();
    let groups = groups::list(&app.pool, GROUPS).await?;
    let shown = groups
        .into_iter()
        .filter(|group| shows_resolved || group.is_open());
    page::render(
        visit.reader,
        &DeadPage {
            frame: Frame::of(&visit, "dead", say!("Dead jobs")),
            shows_resolved,
            groups: shown
                .map(|group| GroupRow::of(group, visit.now).brief())
                .collect(),
        },
    )
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let fingerprint: String = parameter(&path, "fingerprint", mark!("group of dead jobs"))?;
    let group = groups::find(&app.pool, &fingerprint).await?;
    let gone = mark!("group of dead jobs; all of them may have been retried or deleted");
    let group = group.ok_or_else(|| Fault::missing(gone))?;
    let filter = Filter {
        fingerprint: Some(fingerprint),
        ..Filter::default()
    };
    let newest = admin::list(&app.queue, &filter, None, NEWEST).await?;
    page::render(
        visit.reader,
        &GroupPage {
            frame: Frame::of(&visit, "dead", say!("Dead: {kind}", kind = &group.kind)),
            group: GroupRow::of(group, visit.now),
            jobs: newest
                .jobs
                .into_iter()
                .map(|job| JobRow::of(job, visit.now))
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
    let fingerprint: String = parameter(&path, "fingerprint", mark!("group of dead jobs"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    match action.as_str() {
        "resolve" => {
            visit
                .ops(&app)
                .resolve_group(&fingerprint, form.need("reason")?)
                .await?;
            visit.done(&app, "dead", done(Deed::GroupResolve)).await
        }
        "reopen" => {
            visit.ops(&app).reopen_group(&fingerprint).await?;
            visit
                .done(
                    &app,
                    &format!("dead/{fingerprint}"),
                    done(Deed::GroupReopen),
                )
                .await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
