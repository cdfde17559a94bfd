use std::sync::OnceLock;

use metrics::{describe_counter, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric counts.
enum Kind {
    Counter,
    /// In seconds, over [`SECONDS`].
    Histogram,
}

use Kind::{Counter, Histogram};

/// Every metric that the crates below the API record: name, kind, labels, meaning. The API describes its own.
///
/// Labels have few values, known beforehand: never an account, an organization or a job.
const METRICS: [(&str, Kind, &str, &str); 11] = [
    (
        "syncline_jobs_enqueued_total",
        Counter,
        "queue, kind",
        "Jobs enqueued, repeats of a pending one apart.",
    ),
    (
        "syncline_jobs_started_total",
        Counter,
        "queue, kind",
        "Attempts begun.",
    ),
    (
        "syncline_jobs_finished_total",
        Counter,
        "queue, kind, outcome",
        "Attempts ended.",
    ),
    (
        "syncline_job_wait_duration_seconds",
        Histogram,
        "queue",
        "From when a job might run to when it did.",
    ),
    (
        "syncline_job_run_duration_seconds",
        Histogram,
        "kind",
        "How long attempts ran.",
    ),
    (
        "syncline_fenced_writes_total",
        Counter,
        "",
        "Writes refused because the lane's lease was lost.",
    ),
    (
        "syncline_leases_lost_total",
        Counter,
        "",
        "Leases this process lost by being silent for too long.",
    ),
    (
        "syncline_lanes_rescued_total",
        Counter,
        "",
        "Lanes taken over from dead workers.",
    ),
    (
        "syncline_events_sent_total",
        Counter,
        "outcome",
        "Attempts at sending an event to an endpoint.",
    ),
    (
        "syncline_endpoints_disabled_total",
        Counter,
        "reason",
        "Endpoints that were given up, and get no more events. Deserves an alert.",
    ),
    (
        "syncline_limiter_wait_seconds",
        Histogram,
        "",
        "Waits of requests for their account's rate limit.",
    ),
];

/// Upper bounds of the buckets of durations: from a fast commit to a job's time-out.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
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
    for (name, kind, labels, meaning) in &METRICS {
        let meaning = if labels.is_empty() {
            (*meaning).to_owned()
        } else {
            format!("{meaning} By {labels}.")
        };
        match kind {
            Counter => describe_counter!(*name, meaning),
            Histogram => describe_histogram!(*name, metrics::Unit::Seconds, meaning),
        }
    }
    crate::api::describe_metrics();
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are() {
        for (name, kind, ..) in &METRICS {
            assert!(name.starts_with("syncline_"), "{name}");
            match kind {
                Counter => assert!(name.ends_with("_total"), "{name}"),
                Histogram => assert!(name.ends_with("_seconds"), "{name}"),
            }
        }
    }

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
    }
}
