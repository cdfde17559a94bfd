//! What the service tells of itself: metrics, alerts, logs, traces.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod alerts;
mod collector;
mod exposition;
mod metrics;
mod promtool;
mod traces;
