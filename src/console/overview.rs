//! Is all well?

use askama::Template;
use axum::{extract::State, response::Response};
use phrases::say;
use queue::rollups::{self, Window};

use super::{
    fault::Fault,
    guard::Visit,
    page::{self, Frame},
    shown::{Bar, Number, age, bars, grouped},
    times::{TimesRow, TrafficRow},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::health::{Finding, QueueState, Severity, Snapshot};

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    is_well: bool,
    sentence: Said,
    /// Where to look, if the sentence tells the whole trouble; then it is not told twice.
    only: Option<String>,
    /// All that is not told by the sentence alone.
    findings: Vec<FindingRow>,
    queues: Vec<QueueRow>,
    workers: usize,
    in_use: Said,
    completed_today: Number,
    windows: [&'static str; 3],
    times: Vec<TimesRow>,
    traffic: Vec<TrafficRow>,
    budget: Said,
    is_short: bool,
    accounts: Vec<(&'static str, Number)>,
}

/// A finding, as it is shown.
#[derive(Debug)]
struct FindingRow {
    severity: Severity,
    sentence: Said,
    page: String,
}

impl FindingRow {
    fn of(finding: Finding) -> Self {
        Self {
            severity: finding.severity,
            sentence: finding.sentence.into(),
            page: finding.page,
        }
    }
}

/// A queue, as it is shown.
#[derive(Debug)]
pub(super) struct QueueRow {
    pub(super) name: String,
    pub(super) is_paused: bool,
    pub(super) is_late: bool,
    pub(super) oldest: Said,
    pub(super) available: Number,
    pub(super) running: Number,
    pub(super) slots: Number,
    pub(super) retryable: Number,
    pub(super) scheduled: Number,
    pub(super) dead: Number,
    pub(super) pace: Said,
    pub(super) bars: Vec<Bar>,
    pub(super) label: Said,
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
                None => Said::nothing(),
                Some(_) if waited.num_minutes() < 1 => say!("< 1 min").into(),
                Some(_) => age(waited).into(),
            },
            available: grouped(queue.available),
            running: grouped(queue.running),
            slots: grouped(queue.slots),
            retryable: grouped(queue.retryable),
            scheduled: grouped(queue.scheduled),
            dead: grouped(queue.dead),
            pace: pace.map_or_else(Said::nothing, |pace| say!("{pace}", pace).into()),
            label: say!("{jobs} jobs ended in the last 15 minutes", jobs = ended).into(),
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
    let in_hand = say!("{some} of {all}", some = shares.permits, all = allowed);
    let budget = if shares.are_short {
        say!("{in_hand}, and requests wait for more", in_hand)
    } else {
        in_hand
    };
    let sum = |number: fn(&QueueState) -> u64| snapshot.queues.values().map(number).sum::<u64>();
    page::render(
        visit.reader,
        &OverviewPage {
            frame: Frame::of(&visit, "", say!("Overview")),
            is_well: troubles == 0,
            only,
            sentence: snapshot.sentence().into(),
            findings: findings.into_iter().map(FindingRow::of).collect(),
            queues: QueueRow::all(&app, &snapshot),
            workers: snapshot.working().count(),
            in_use: say!(
                "{some} of {all}",
                some = sum(|queue| queue.running),
                all = sum(|queue| queue.slots)
            )
            .into(),
            completed_today: grouped(sum(|queue| queue.completed_today)),
            windows: Window::ALL.map(Window::as_str),
            times: rollups.iter().map(TimesRow::of_all).collect(),
            traffic: rollups.iter().map(TrafficRow::of).collect(),
            budget: budget.into(),
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
        },
    )
}

/// The console's address without its slash, from which relative links would lead elsewhere.
pub(super) async fn redirect() -> Response {
    page::see_other("console/")
}
