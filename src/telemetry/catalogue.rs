//! Every metric: what it is called, what it counts, and by what.
//!
//! Wherever one is recorded, it is by its name here; tests compare this with what a running service shows, and with
//! docs/metrics.md, which is made of it. Labels have few values, known beforehand: never an account, an organization or a
//! job.

mod labels;

pub use self::labels::Label;
use self::labels::{
    ANSWER, CATEGORY, CONNECTION_STATE, JOB_STATE, JUDGEMENT, KIND, MERGE_STATUS, METHOD, OUTCOME,
    POOL, QUEUE, REASON, ROUTE, SENT, STATUS, TRACE_OUTCOME, VERSION, WORKER_STATE,
};

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// What it is about: a heading of the page of all metrics.
    pub section: &'static str,
    /// As Prometheus shows it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What one is.
    pub unit: &'static str,
    /// By what it is told apart.
    pub labels: &'static [Label],
    /// What it means, in a sentence.
    pub help: &'static str,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Up only.
    Counter,
    /// Up and down.
    Gauge,
    /// Counts of durations by length, see [`super::metrics`] for the lengths.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// All of them, in the order of their page.
pub const CATALOGUE: [Metric; 40] = [
    Metric {
        section: "Jobs",
        name: "syncline_jobs_enqueued_total",
        kind: Kind::Counter,
        unit: "jobs",
        labels: &[QUEUE, KIND],
        help: "Jobs enqueued; those that found the same job waiting already are not counted.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_jobs_started_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: &[QUEUE, KIND],
        help: "Attempts begun.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_jobs_finished_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: &[QUEUE, KIND, OUTCOME],
        help: "Attempts ended, as they were written.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_jobs_crashed_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: &[],
        help: "Attempts that ended with their worker. They are not among those finished; a job whose last it was is dead.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_job_wait_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[QUEUE],
        help: "From when a job might run to when it did.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_job_run_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[KIND],
        help: "How long attempts ran.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_queue_jobs",
        kind: Kind::Gauge,
        unit: "jobs",
        labels: &[QUEUE, JOB_STATE],
        help: "Jobs that have not ended. From the database.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_queue_oldest_ready_age_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[QUEUE],
        help: "How long the oldest job that is due has waited at least; exact to a minute. From the database.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_queue_slots",
        kind: Kind::Gauge,
        unit: "jobs",
        labels: &[QUEUE],
        help: "Jobs that all working workers together can run at once. From the database.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_queue_is_paused",
        kind: Kind::Gauge,
        unit: "1 or 0",
        labels: &[QUEUE],
        help: "Whether somebody paused the queue, or everything. From the database.",
    },
    Metric {
        section: "Jobs",
        name: "syncline_dead_jobs",
        kind: Kind::Gauge,
        unit: "jobs",
        labels: &[KIND],
        help: "Jobs that used all their attempts, and wait for somebody to look. From the database.",
    },
    Metric {
        section: "Workers and leases",
        name: "syncline_workers",
        kind: Kind::Gauge,
        unit: "workers",
        labels: &[WORKER_STATE],
        help: "Workers that live. From the database.",
    },
    Metric {
        section: "Workers and leases",
        name: "syncline_leases_lost_total",
        kind: Kind::Counter,
        unit: "leases",
        labels: &[],
        help: "Leases that this process lost by being silent for too long.",
    },
    Metric {
        section: "Workers and leases",
        name: "syncline_fenced_writes_total",
        kind: Kind::Counter,
        unit: "writes",
        labels: &[],
        help: "Writes that were refused because the lane belonged to another worker by then.",
    },
    Metric {
        section: "Workers and leases",
        name: "syncline_lanes_rescued_total",
        kind: Kind::Counter,
        unit: "lanes",
        labels: &[],
        help: "Lanes that this process freed of workers that are gone.",
    },
    Metric {
        section: "Schedules",
        name: "syncline_schedule_runs_skipped_total",
        kind: Kind::Counter,
        unit: "times",
        labels: &[KIND],
        help: "Times that runs were missed, and some of them left out.",
    },
    Metric {
        section: "Schedules",
        name: "syncline_schedule_overdue_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[KIND],
        help: "How long a schedule is due without being fired. From the database.",
    },
    Metric {
        section: "Webhooks",
        name: "syncline_webhook_received_total",
        kind: Kind::Counter,
        unit: "webhooks",
        labels: &[ANSWER],
        help: "Webhooks that were answered. A rate of `unverified` above zero means a wrong secret, or an attack.",
    },
    Metric {
        section: "Webhooks",
        name: "syncline_webhook_ack_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[ANSWER],
        help: "From a webhook's headers to its answer.",
    },
    Metric {
        section: "Webhooks",
        name: "syncline_webhook_commits_total",
        kind: Kind::Counter,
        unit: "commits",
        labels: &[],
        help: "Commits that received webhooks shared.",
    },
    Metric {
        section: "Webhooks",
        name: "syncline_webhook_judged_total",
        kind: Kind::Counter,
        unit: "webhooks",
        labels: &[JUDGEMENT],
        help: "Webhooks that were worked off.",
    },
    Metric {
        section: "Webhooks",
        name: "syncline_webhook_oldest_waiting_age_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "How long the oldest webhook waits to be worked off. From the database.",
    },
    Metric {
        section: "Merge",
        name: "syncline_merge_requests_total",
        kind: Kind::Counter,
        unit: "requests",
        labels: &[MERGE_STATUS],
        help: "Requests made to Merge.",
    },
    Metric {
        section: "Merge",
        name: "syncline_merge_request_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[MERGE_STATUS],
        help: "From a request to Merge to the last byte of its answer.",
    },
    Metric {
        section: "Merge",
        name: "syncline_limiter_wait_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[],
        help: "Waits of requests for their account's rate limit.",
    },
    Metric {
        section: "Merge",
        name: "syncline_error_budget_permits",
        kind: Kind::Gauge,
        unit: "permits",
        labels: &[],
        help: "Of the requests that all processes together may have fail, or under way, those that this process may.",
    },
    Metric {
        section: "Merge",
        name: "syncline_error_answers_total",
        kind: Kind::Counter,
        unit: "requests",
        labels: &[],
        help: "Requests to Merge that used up a part of the error budget: errors, and those with no answer.",
    },
    Metric {
        section: "Merge",
        name: "syncline_error_budget_exhausted_total",
        kind: Kind::Counter,
        unit: "requests",
        labels: &[],
        help: "Requests that were put off because the error budget was used up.",
    },
    Metric {
        section: "Syncing",
        name: "syncline_sync_lag_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[CATEGORY],
        help: "How long ago the reading began of the model that is furthest behind, of all active accounts. From the database.",
    },
    Metric {
        section: "Syncing",
        name: "syncline_window_gaps_total",
        kind: Kind::Counter,
        unit: "windows",
        labels: &[],
        help: "Windows that do not join the one before: changes were not asked for. Never, as far as we know.",
    },
    Metric {
        section: "Events sent to endpoints",
        name: "syncline_events_sent_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: &[SENT],
        help: "Attempts at sending an event.",
    },
    Metric {
        section: "Events sent to endpoints",
        name: "syncline_endpoints_disabled_total",
        kind: Kind::Counter,
        unit: "endpoints",
        labels: &[REASON],
        help: "Endpoints that were given up, and get no more events.",
    },
    Metric {
        section: "HTTP",
        name: "syncline_http_requests_total",
        kind: Kind::Counter,
        unit: "requests",
        labels: &[METHOD, ROUTE, STATUS],
        help: "Requests answered.",
    },
    Metric {
        section: "HTTP",
        name: "syncline_http_request_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[METHOD, ROUTE],
        help: "From a request's headers to its answer.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_database_connections",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &[POOL, CONNECTION_STATE],
        help: "Connections that are open.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_database_connections_limit",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &[POOL],
        help: "Connections that may be open.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_database_oldest_transaction_age_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "How long the oldest transaction in our database is open. From the database.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_database_seen_timestamp_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "When what is from the database was last read, by its clock, since 1970.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_trace_spans_total",
        kind: Kind::Counter,
        unit: "spans",
        labels: &[TRACE_OUTCOME],
        help: "Spans of traces that were to be sent to the collector, where there is one.",
    },
    Metric {
        section: "Database and process",
        name: "syncline_build_info",
        kind: Kind::Gauge,
        unit: "1",
        labels: &[VERSION],
        help: "The version that runs.",
    },
];

#[cfg(test)]
mod tests;
