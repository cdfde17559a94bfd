//! Is all well?

use askama::Template;
use axum::{extract::State, response::Response};
use queue::rollups::{self, Window};

use super::{
    fault::Fault,
    guard::Visit,
    page::{self, Frame},
    shown::{Bar, age, bars, grouped},
    times::{TimesRow, TrafficRow},
};
use crate::app::App;
use crate::ops::health::{Finding, QueueState, Severity, Snapshot};

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    is_well: bool,
    sentence: String,
    /// Where to look, if the sentence tells the whole trouble; then it is not told twice.
    only: Option<String>,
    /// All that is not told by the sentence alone.
    findings: Vec<Finding>,
    queues: Vec<QueueRow>,
    workers: usize,
    running: String,
    slots: String,
    completed_today: String,
    windows: [&'static str; 3],
    times: Vec<TimesRow>,
    traffic: Vec<TrafficRow>,
    budget: String,
    is_short: bool,
    accounts: Vec<(&'static str, String)>,
}

/// A queue, as it is shown.
#[derive(Debug)]
pub(super) struct QueueRow {
    pub(super) name: String,
    pub(super) is_paused: bool,
    pub(super) is_late: bool,
    pub(super) oldest: String,
    pub(super) available: String,
    pub(super) running: String,
    pub(super) slots: String,
    pub(super) retryable: String,
    pub(super) scheduled: String,
    pub(super) dead: String,
    pub(super) pace: String,
    pub(super) bars: Vec<Bar>,
    pub(super) label: String,
}

impl QueueRow {
    pub(super) fn all(app: &App, snapshot: &Snapshot) -> Vec<Self> {
        let queues = snapshot.queues.iter();
        queues
            .map(|(name, queue)| Self::of(app, snapshot, name, queue))
            .collect()
    }

    fn of(app: &App, snapshot: &Snapshot, name: &str, queue: &QueueState) -> Self {
        let waited = queue.oldest_age(snapshot.now);
        let pace = app.pulse.ended_a_minute(name);
        let trend = app.pulse.trend(name);
        let ended: i64 = trend.iter().sum();
        Self {
            name: name.to_owned(),
            is_paused: snapshot.is_paused(name),
            is_late: waited.num_minutes() >= 5,
            oldest: match queue.oldest_due {
                None => "–".to_owned(),
                Some(_) if waited.num_minutes() < 1 => "< 1 min".to_owned(),
                Some(_) => age(waited),
            },
            available: grouped(queue.available),
            running: grouped(queue.running),
            slots: grouped(queue.slots),
            retryable: grouped(queue.retryable),
            scheduled: grouped(queue.scheduled),
            dead: grouped(queue.dead),
            pace: pace.map_or_else(|| "–".to_owned(), grouped),
            label: format!("{ended} jobs ended in the last 15 minutes"),
            bars: bars(trend),
        }
    }
}

pub(super) async fn show(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let snapshot = Snapshot::take(&app.pool, visit.now).await?;
    let mut findings = snapshot.findings();
    let is_trouble = |finding: &Finding| finding.severity == Severity::Trouble;
    let troubles = findings
        .iter()
        .filter(|finding| is_trouble(finding))
        .count();
    // The worst comes first.
    let only = (troubles == 1).then(|| findings.remove(0).page);
    let mut rollups = vec![snapshot.last_hour.clone()];
    for window in [Window::Day, Window::Week] {
        rollups.push(rollups::read(&app.pool, window, false).await?);
    }
    let (shares, allowed) = (snapshot.budget, app.config.merge.errors);
    let sum = |number: fn(&QueueState) -> u64| grouped(snapshot.queues.values().map(number).sum());
    page::render(&OverviewPage {
        frame: Frame::of(&visit, "", "Overview"),
        is_well: troubles == 0,
        only,
        sentence: snapshot.sentence(),
        findings,
        queues: QueueRow::all(&app, &snapshot),
        workers: snapshot.working().count(),
        running: sum(|queue| queue.running),
        slots: sum(|queue| queue.slots),
        completed_today: sum(|queue| queue.completed_today),
        windows: Window::ALL.map(Window::as_str),
        times: rollups.iter().map(TimesRow::of_all).collect(),
        traffic: rollups.iter().map(TrafficRow::of).collect(),
        budget: format!("{} of {allowed}", shares.permits),
        is_short: shares.are_short,
        accounts: snapshot
            .accounts
            .iter()
            .map(|count| {
                (
                    count.status.as_str(),
                    grouped(count.accounts.unsigned_abs()),
                )
            })
            .collect(),
    })
}

/// The console's address without its slash, from which relative links would lead elsewhere.
pub(super) async fn redirect() -> Response {
    page::see_other("console/")
}
