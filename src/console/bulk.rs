//! One action on all jobs of a filter: counted, confirmed, followed.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use phrases::{Phrase, mark, plural, say};
use queue::JobId;
use queue::admin::bulk_actions::{BulkAction, BulkId, State as Standing};
use queue::admin::{self, Action};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    jobs::JobRow,
    page::{self, Frame},
    query::JobQuery,
    shown::{Number, When, grouped},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::Deed;
use crate::ops::bulk::{TYPED_ABOVE, deed_of, sentence, shown};
use crate::ops::words::done;

/// Actions on the list.
const ACTIONS: u16 = 100;

#[derive(Debug, Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
    id: BulkId,
    /// What is to be done to how many.
    heading: Said,
    state: &'static str,
    sentence: Said,
    percent: Option<u64>,
    count: i64,
    /// May who looks at it start it?
    may_start: bool,
    needs_typing: bool,
    is_grave: bool,
    filter: String,
    query: String,
    bound_to: Said,
    by: String,
    reason: String,
    done: Number,
    skipped: Number,
    job_id: Option<JobId>,
    jobs: Vec<JobRow>,
}

#[derive(Debug, Template)]
#[template(path = "bulks.html")]
struct BulksPage {
    frame: Frame,
    bulks: Vec<BulkRow>,
}

#[derive(Debug)]
struct BulkRow {
    id: BulkId,
    action: String,
    state: &'static str,
    jobs: Number,
    done: Number,
    by: String,
    reason: String,
    started: Option<When>,
}

fn capital(action: Action) -> String {
    let name = action.as_str();
    name[..1].to_uppercase() + &name[1..]
}

/// What is to be done to how many.
fn heading(action: Action, jobs: u64) -> Phrase {
    match action {
        Action::Retry => plural!("Retry {jobs} job", "Retry {jobs} jobs", jobs = jobs),
        Action::RetryNow => plural!("Retry now {jobs} job", "Retry now {jobs} jobs", jobs = jobs),
        Action::Cancel => plural!("Cancel {jobs} job", "Cancel {jobs} jobs", jobs = jobs),
        Action::Delete => plural!("Delete {jobs} job", "Delete {jobs} jobs", jobs = jobs),
    }
}

pub(super) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let bulks = visit.ops(&app).bulks(ACTIONS).await?;
    let rows = bulks.into_iter().map(|bulk| BulkRow {
        id: bulk.id,
        action: capital(bulk.bulk.action()),
        state: bulk.state.as_str(),
        jobs: grouped(bulk.jobs.unsigned_abs()),
        done: grouped(bulk.progress.done),
        by: bulk.bulk.request().by.clone(),
        reason: bulk.bulk.request().reason.clone(),
        started: When::maybe(bulk.started_at, visit.now),
    });
    page::render(
        visit.reader,
        &BulksPage {
            bulks: rows.collect(),
            frame: Frame::of(&visit, "audit", say!("Bulk actions")),
        },
    )
}

/// Counts, and keeps what was counted.
pub(super) async fn prepare(
    State(app): State<App>,
    visit: Visit,
    form: Form,
) -> Result<Response, Fault> {
    let action = match form.need("action")? {
        "retry" => Action::Retry,
        "retry_now" => Action::RetryNow,
        "cancel" => Action::Cancel,
        "delete" => Action::Delete,
        _ => {
            let rule = mark!("must be retry, retry_now, cancel or delete");
            return Err(Fault::field("action", rule));
        }
    };
    let filter = JobQuery::parse(form.text("filter").unwrap_or_default()).to_filter()?;
    let reason = form.need("reason")?;
    let id = visit.ops(&app).prepare_bulk(filter, action, reason).await?;
    Ok(page::see_other(&format!("{}bulk/{id}", visit.root)))
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id: BulkId = parameter(&path, "id", mark!("bulk action"))?;
    let bulk = visit.ops(&app).bulk(id).await?;
    let mut jobs = Vec::new();
    if bulk.state == Standing::Prepared {
        let mut filter = bulk.bulk.filter().clone();
        filter.created.before = filter
            .created
            .before
            .min(Some(bulk.bulk.bound_to()))
            .or(Some(bulk.bulk.bound_to()));
        jobs = admin::list(&app.queue, &filter, None, 10).await?.jobs;
    }
    page::render(visit.reader, &BulkPage::of(&visit, &bulk, jobs))
}

impl BulkPage {
    fn of(visit: &Visit, bulk: &BulkAction, jobs: Vec<admin::JobSummary>) -> Self {
        let (action, progress) = (bulk.bulk.action(), bulk.progress);
        let filter = shown(bulk.bulk.filter());
        let looked_at = progress.done + progress.skipped;
        let count = bulk.jobs.unsigned_abs();
        let percent = (looked_at * 100 / count.max(1)).min(100);
        Self {
            frame: Frame::of(visit, "jobs", heading(action, count)),
            id: bulk.id,
            heading: heading(action, count).into(),
            state: bulk.state.as_str(),
            sentence: sentence(bulk, visit.now).into(),
            percent: (bulk.state != Standing::Prepared).then_some(percent),
            count: bulk.jobs,
            may_start: visit.actor.may(deed_of(action)),
            needs_typing: bulk.jobs > TYPED_ABOVE,
            is_grave: matches!(action, Action::Delete | Action::Cancel),
            query: to_query(&filter),
            filter: filter.to_string(),
            bound_to: say!("{at}", at = bulk.bulk.bound_to()).into(),
            by: bulk.bulk.request().by.clone(),
            reason: bulk.bulk.request().reason.clone(),
            done: grouped(progress.done),
            skipped: grouped(progress.skipped),
            job_id: bulk.job_id,
            jobs: jobs
                .into_iter()
                .map(|job| JobRow::of(job, visit.now))
                .collect(),
        }
    }
}

/// The list of jobs with the same filter, as far as the list's address has words for it.
fn to_query(filter: &serde_json::Value) -> String {
    let names = [
        ("lane", "lane"),
        ("organization_id", "organization"),
        ("tag", "tag"),
        ("min_attempt", "min_attempt"),
        ("error_text", "error"),
        ("payload", "payload"),
        ("error_class", "class"),
        ("http_status", "http_status"),
        ("fingerprint", "group"),
        ("worker", "worker"),
        ("parent", "parent"),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::from("?"));
    for (field, name) in [("states", "state"), ("kinds", "kind"), ("queues", "queue")] {
        for value in filter[field].as_array().into_iter().flatten() {
            query.append_pair(name, value.as_str().unwrap_or_default());
        }
    }
    for (field, name) in names {
        match &filter[field] {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => drop(query.append_pair(name, text)),
            other => drop(query.append_pair(name, &other.to_string())),
        }
    }
    query.finish()
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let id: BulkId = parameter(&path, "id", mark!("bulk action"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    let page = format!("bulk/{id}");
    match action.as_str() {
        "start" => {
            let typed = form
                .text("typed")
                .map(|typed| typed.replace([',', ' '], ""));
            let typed = typed.and_then(|typed| typed.parse().ok());
            visit.ops(&app).start_bulk(id, typed).await?;
            visit.done(&app, &page, say!("It has begun.")).await
        }
        "stop" => {
            visit.ops(&app).stop_bulk(id).await?;
            visit.done(&app, &page, done(Deed::BulkStop)).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
