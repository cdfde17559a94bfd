//! How long jobs wait and run, and how many end how: from stored rollups.

use std::time::Duration;

use phrases::{mark, say};
use queue::rollups::{Histogram, Measure, Rollup, Series, Window};

use super::shown::{Bar, Number, bars, grouped, span};
use super::told::Said;

/// What was measured of something, as it is shown.
#[derive(Debug)]
pub(super) struct TimesRow {
    pub(super) name: String,
    /// Whether it is one kind of its queue.
    pub(super) is_kind: bool,
    pub(super) completed: Number,
    pub(super) failed: Number,
    pub(super) has_failed: bool,
    pub(super) wait: [Said; 2],
    pub(super) run: [Said; 2],
    pub(super) bars: Vec<Bar>,
    pub(super) label: Said,
}

impl TimesRow {
    /// Each queue in which something ended, and below it its kinds.
    pub(super) fn of_queues(rollup: &Rollup) -> Vec<Self> {
        let kinds = rollup.kinds();
        let mut rows = Vec::new();
        for queue in queue::Queue::ALL.map(queue::Queue::as_str) {
            let names = kinds.iter().filter(|(of, _)| *of == queue);
            let mut of_kinds: Vec<_> = names
                .map(|(_, kind)| Self::of(rollup, queue, kind, (*kind).to_owned()))
                .collect();
            if of_kinds.is_empty() {
                continue;
            }
            rows.push(Self::of(rollup, queue, "", queue.to_owned()));
            rows.append(&mut of_kinds);
        }
        rows
    }

    /// Everything of a window.
    pub(super) fn of_all(rollup: &Rollup) -> Self {
        Self::of(rollup, "", "", in_words(rollup.window).to_owned())
    }

    fn of(rollup: &Rollup, queue: &str, kind: &str, name: String) -> Self {
        let of = |measure| rollup.of_kind(measure, queue, kind);
        let (completed, failed) = (of(Measure::Completed), of(Measure::Failed));
        let mut run = Histogram::default();
        for series in [completed, failed].into_iter().flatten() {
            run.add(&series.total);
        }
        let failures = count(failed);
        Self {
            is_kind: !kind.is_empty(),
            name,
            completed: grouped(count(completed)),
            failed: grouped(failures),
            has_failed: failures > 0,
            wait: quantiles(of(Measure::Wait).map(|series| &series.total), [0.5, 0.95]),
            run: quantiles(Some(&run), [0.5, 0.95]),
            label: say!("{jobs} completed", jobs = count(completed)).into(),
            bars: bars(spans(completed, rollup.window)),
        }
    }
}

/// What was measured beside jobs, as it is shown.
#[derive(Debug)]
pub(super) struct TrafficRow {
    pub(super) name: &'static str,
    pub(super) webhooks: Number,
    pub(super) acknowledged: [Said; 2],
    pub(super) limiter_waits: Number,
    pub(super) limiter: [Said; 2],
    pub(super) errors: Number,
    pub(super) put_off: Number,
    pub(super) bars: Vec<Bar>,
    pub(super) label: Said,
}

impl TrafficRow {
    pub(super) fn of(rollup: &Rollup) -> Self {
        let of = |measure| rollup.of_all(measure);
        let webhooks = of(Measure::Acknowledgement);
        let limiter = of(Measure::LimiterWait);
        Self {
            name: in_words(rollup.window),
            webhooks: grouped(count(webhooks)),
            acknowledged: quantiles(webhooks.map(|series| &series.total), [0.5, 0.99]),
            limiter_waits: grouped(count(limiter)),
            limiter: quantiles(limiter.map(|series| &series.total), [0.5, 0.95]),
            errors: grouped(count(of(Measure::ErrorAnswer))),
            put_off: grouped(count(of(Measure::BudgetExhausted))),
            label: say!("{webhooks} webhooks", webhooks = count(webhooks)).into(),
            bars: bars(spans(webhooks, rollup.window)),
        }
    }
}

/// A window as a link's text.
pub(super) fn in_words(window: Window) -> &'static str {
    match window {
        Window::Hour => mark!("1 hour"),
        Window::Day => mark!("24 hours"),
        Window::Week => mark!("7 days"),
    }
}

fn count(series: Option<&Series>) -> u64 {
    series.map_or(0, |series| series.total.count())
}

fn spans(series: Option<&Series>, window: Window) -> Vec<i64> {
    let Some(series) = series else {
        return vec![0; window.spans()];
    };
    let counts = series.spans.iter();
    counts
        .map(|count| i64::try_from(*count).unwrap_or(i64::MAX))
        .collect()
}

fn quantiles(histogram: Option<&Histogram>, shares: [f64; 2]) -> [Said; 2] {
    shares.map(|share| {
        let time: Option<Duration> = histogram.and_then(|histogram| histogram.quantile(share));
        time.map_or_else(Said::nothing, span)
    })
}
