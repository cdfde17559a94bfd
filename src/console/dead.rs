//! Dead jobs, by what they died of.

use askama::Template;
use axum::{
    extract::{RawPathParams, RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use queue::admin::groups::{self, DeadGroup};
use queue::admin::{self, Filter};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    jobs::{JobRow, cut},
    page::{self, Frame},
    shown::{Bar, When, bars, plural},
};
use crate::app::App;
use crate::ops::{Deed, groups::standing, words::done};

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
    jobs: String,
    lanes: String,
    first: When,
    last: When,
    bars: Vec<Bar>,
    label: String,
    is_resolved: bool,
    resolution: Option<String>,
}

impl GroupRow {
    fn of(group: DeadGroup, now: DateTime<Utc>) -> Self {
        let is_open = group.is_open();
        let resolution = standing(&group, now);
        let today: i64 = group.trend.iter().sum();
        Self {
            class: match group.http_status {
                Some(status) => format!("{} {status}", group.error_class),
                None => group.error_class,
            },
            fingerprint: group.fingerprint,
            kind: group.kind,
            message: group.message,
            jobs: plural(group.jobs.unsigned_abs(), "job"),
            lanes: plural(group.lanes.unsigned_abs(), "lane"),
            first: When::new(group.first_seen_at, now),
            last: When::new(group.last_seen_at, now),
            label: format!("{today} in the last 24 hours"),
            bars: bars(group.trend),
            is_resolved: !is_open,
            resolution,
        }
    }

    /// For a list: what needs little room.
    fn brief(mut self) -> Self {
        let number = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        self.message = cut(&self.message, 240);
        self.jobs = number(&self.jobs);
        self.lanes = number(&self.lanes);
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
    page::render(&DeadPage {
        frame: Frame::of(&visit, "dead", "Dead jobs"),
        shows_resolved,
        groups: shown
            .map(|group| GroupRow::of(group, visit.now).brief())
            .collect(),
    })
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let fingerprint: String = parameter(&path, "fingerprint", "group of dead jobs")?;
    let group = groups::find(&app.pool, &fingerprint).await?;
    let gone = "group of dead jobs; all of them may have been retried or deleted";
    let group = group.ok_or_else(|| Fault::missing(gone))?;
    let filter = Filter {
        fingerprint: Some(fingerprint),
        ..Filter::default()
    };
    let newest = admin::list(&app.queue, &filter, None, NEWEST).await?;
    page::render(&GroupPage {
        frame: Frame::of(&visit, "dead", format!("Dead: {}", group.kind)),
        group: GroupRow::of(group, visit.now),
        jobs: newest
            .jobs
            .into_iter()
            .map(|job| JobRow::of(job, visit.now))
            .collect(),
    })
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let fingerprint: String = parameter(&path, "fingerprint", "group of dead jobs")?;
    let action: String = parameter(&path, "action", "action")?;
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
        _ => Err(Fault::missing("action")),
    }
}
