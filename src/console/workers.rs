//! Workers, and what each runs.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use queue::admin::{self, Filter};
use queue::workers::{self, Ask, WorkerView};
use queue::{JobId, JobState, WorkerId};

use super::{
    fault::Fault,
    guard::Visit,
    job::parameter,
    jobs::JobRow,
    page::{self, Frame},
    shown::{When, took},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::{Deed, queues::worker_state, words::done};

/// Workers on the page, those that ended lately among them.
const WORKERS: u16 = 50;
/// Jobs shown of those that ran in a worker that was lost.
const CUT_OFF: u16 = 10;
/// Running jobs on the page.
const RUNNING: u16 = 500;

#[derive(Debug, Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    frame: Frame,
    workers: Vec<WorkerRow>,
}

#[derive(Debug)]
struct WorkerRow {
    id: WorkerId,
    host: String,
    pid: i32,
    version: String,
    state: &'static str,
    is_alive: bool,
    is_quiet: bool,
    started: When,
    ended: Option<When>,
    lease: Said,
    lanes: i64,
    in_use: Said,
    /// Of its connection pool, in use; `None`: it has not said.
    connections: Option<Said>,
    is_out_of_connections: bool,
    by_queue: Vec<(String, Said)>,
    jobs: Vec<JobRow>,
    /// What ran in it when it was lost.
    cut_off: Vec<JobId>,
}

impl WorkerRow {
    fn of(worker: WorkerView, jobs: Vec<JobRow>, now: DateTime<Utc>) -> Self {
        let slots = worker.slots.as_object().into_iter().flatten();
        let by_queue: Vec<(String, u64)> = slots
            .map(|(queue, slots)| (queue.clone(), slots.as_u64().unwrap_or(0)))
            .collect();
        let is_alive = worker.ended_at.is_none();
        let lease = chrono::TimeDelta::from_std(worker.lease_left).unwrap_or_default();
        Self {
            id: worker.id,
            state: worker_state(&worker),
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            is_alive,
            is_quiet: worker.wanted.as_deref() == Some("quiet"),
            started: When::new(worker.started_at, now),
            ended: When::maybe(worker.ended_at, now),
            lease: took(lease).into(),
            lanes: worker.lanes,
            in_use: say!(
                "{some} of {all}",
                some = i64::from(worker.running),
                all = by_queue.iter().map(|(_, slots)| slots).sum::<u64>()
            )
            .into(),
            connections: (worker.connections > 0).then(|| {
                say!(
                    "{some} of {all}",
                    some = i64::from(worker.connections_in_use),
                    all = i64::from(worker.connections)
                )
                .into()
            }),
            is_out_of_connections: worker.connections_in_use >= worker.connections,
            by_queue: by_queue
                .into_iter()
                .map(|(queue, slots)| (queue, say!("{slots} slots", slots).into()))
                .collect(),
            jobs,
            cut_off: Vec::new(),
        }
    }
}

pub(super) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let workers = workers::list(&app.pool, WORKERS).await?;
    let filter = Filter {
        states: vec![JobState::Running],
        ..Filter::default()
    };
    let mut running = admin::list(&app.queue, &filter, None, RUNNING).await?.jobs;
    let rows = workers.into_iter().map(|worker| {
        let of_it = running.extract_if(.., |job| job.worker == Some(worker.id));
        let jobs = of_it.map(|job| JobRow::of(job, visit.now)).collect();
        WorkerRow::of(worker, jobs, visit.now)
    });
    let mut rows: Vec<_> = rows.collect();
    for row in rows.iter_mut().filter(|row| row.state == "lost") {
        row.cut_off = workers::cut_off(&app.pool, row.id, CUT_OFF).await?;
    }
    page::render(
        visit.reader,
        &WorkersPage {
            workers: rows,
            frame: Frame::of(&visit, "workers", say!("Workers")),
        },
    )
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id = WorkerId(parameter(&path, "id", mark!("worker"))?);
    let action: String = parameter(&path, "action", mark!("action"))?;
    let (what, notice) = match action.as_str() {
        "quiet" => (Ask::Quiet, done(Deed::WorkerQuiet)),
        "work" => (Ask::Work, done(Deed::WorkerWork)),
        "drain" => (Ask::Drain, done(Deed::WorkerDrain)),
        _ => return Err(Fault::missing(mark!("action"))),
    };
    visit.ops(&app).ask_worker(id, what).await?;
    visit.done(&app, "workers", notice).await
}
