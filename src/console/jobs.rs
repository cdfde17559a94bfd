//! Lists of jobs.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use queue::admin::{self, JobSummary};
use queue::{JobId, JobState, Queue};

use super::{
    fault::Fault,
    guard::Visit,
    page::{self, Frame},
    query::JobQuery,
    shown::{When, short},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::jobs::what_when;
pub(super) use crate::ops::words::cut;

/// Jobs on a page.
const PAGE: u16 = 50;
/// Characters of an error in a list.
const ERROR_CHARS: usize = 160;

#[derive(Debug, Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    frame: Frame,
    query: JobQuery,
    states: [&'static str; 7],
    kinds: Vec<&'static str>,
    queues: [&'static str; 5],
    times: [(&'static str, &'static str); 3],
    jobs: Vec<JobRow>,
    is_paged: bool,
    next: Option<String>,
    /// How far the search has come, if it stopped before the page was full.
    searched: Option<Said>,
}

/// A job, as a list shows it.
#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) id: JobId,
    pub(super) short: String,
    pub(super) state: &'static str,
    pub(super) kind: String,
    pub(super) lane: String,
    pub(super) lane_short: String,
    pub(super) lane_query: String,
    pub(super) attempt: u16,
    pub(super) max_attempts: u16,
    pub(super) what_when: &'static str,
    pub(super) when: When,
    pub(super) error_class: Option<String>,
    pub(super) error: String,
}

impl JobRow {
    pub(super) fn of(job: JobSummary, now: DateTime<Utc>) -> Self {
        let (what_when, at) = what_when(&job);
        let lane = job.lane.as_str().to_owned();
        let error = job.last_error.unwrap_or_default();
        Self {
            id: job.id,
            short: short(job.id),
            state: job.state.as_str(),
            kind: job.kind,
            lane_short: short_lane(&lane),
            lane_query: encoded(&lane),
            lane,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            what_when,
            when: When::new(at, now),
            error_class: job.error_class,
            error: cut(&error, ERROR_CHARS),
        }
    }
}

/// `acct:…89abcdef`, and names that are short as they are.
pub(super) fn short_lane(lane: &str) -> String {
    match lane.split_once(':') {
        Some((kind, id)) if id.len() > 24 && id.is_ascii() => format!("{kind}:{}", short(id)),
        _ => cut(lane, 40),
    }
}

/// As a value in a query.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

pub(super) async fn list(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = JobQuery::parse(&query.unwrap_or_default());
    let (filter, after) = (query.to_filter()?, query.place()?);
    let page = admin::list(&app.queue, &filter, after, PAGE).await?;
    let is_full = page.jobs.len() == usize::from(PAGE);
    let searched = page.next.filter(|_| !is_full).and_then(made_at);
    page::render(
        visit.reader,
        &JobsPage {
            frame: Frame::of(&visit, "jobs", say!("Jobs")),
            states: JobState::ALL.map(JobState::as_str),
            kinds: jobs::registry().kinds(),
            queues: Queue::ALL.map(Queue::as_str),
            times: [
                ("created", mark!("being enqueued")),
                ("run_at", mark!("the earliest start")),
                ("finished", mark!("the end")),
            ],
            jobs: page
                .jobs
                .into_iter()
                .map(|job| JobRow::of(job, visit.now))
                .collect(),
            is_paged: after.is_some(),
            next: page.next.map(|id| query.after(id)),
            searched: searched.map(|at| say!("Looked back to {at} so far.", at).into()),
            query,
        },
    )
}

/// When a job was enqueued, by its id.
fn made_at(id: JobId) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
