use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{CATALOGUE, Kind};

/// Upper bounds of the buckets of durations: from a fast commit to a job's time-out.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];

/// How webhooks are answered.
const ANSWERS: [&str; 6] = [
    "stored",
    "unverified",
    "no_secret",
    "incomplete",
    "shed",
    "not_stored",
];

/// The process's recorder of metrics, installed by the first call; `render` gives Prometheus' text.
pub fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect("the list of buckets is not empty")
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another recorder of metrics is installed: /metrics stays empty");
    }
    for metric in &CATALOGUE {
        let (name, help) = (metric.name, metric.help);
        let unit = (metric.unit == "seconds").then_some(Unit::Seconds);
        let unit = unit.unwrap_or(Unit::Count);
        match metric.kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram => describe_histogram!(name, unit, help),
        }
    }
    begin_at_zero();
    gauge!("syncline_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

/// Shows counters that alerts look at before they count anything: who sees one appear cannot tell that it rose.
fn begin_at_zero() {
    for metric in &CATALOGUE {
        if metric.kind == Kind::Counter && metric.labels.is_empty() {
            counter!(metric.name).increment(0);
        }
    }
    for answer in ANSWERS {
        counter!("syncline_webhook_received_total", "verdict" => answer).increment(0);
    }
    for outcome in ["sent", "lost"] {
        counter!("syncline_trace_spans_total", "outcome" => outcome).increment(0);
    }
    for schedule in jobs::registry().schedules() {
        counter!("syncline_schedule_runs_skipped_total", "kind" => schedule.kind()).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_recorded_in_buckets() {
        let handle = recorder();

        metrics::histogram!("syncline_limiter_wait_seconds").record(0.3);

        let text = handle.render();
        assert!(
            text.contains("# HELP syncline_limiter_wait_seconds Waits of"),
            "{text}"
        );
        assert!(
            text.contains(r#"syncline_limiter_wait_seconds_bucket{le="0.5"} 1"#),
            "{text}"
        );
        assert!(text.contains("\nsyncline_window_gaps_total 0\n"), "{text}");
    }
}
