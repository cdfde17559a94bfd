//! The known faults of the stock storage (apalis-postgres 1.0.0), each as a pair of tests: shown on the
//! stock storage, absent on ours. Both run under apalis' own worker, against the same Postgres.
//!
//! The first of a pair fails when the stock storage no longer has the fault; the second when ours has it.
//! Nothing here measures time: a fault that is about time is shown by what happened before what. The stock
//! crate is a dependency of this target alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod enqueueing;
mod leases;
mod ours;
mod outcomes;
mod pick_up;
mod process;
mod retries;
mod seen;
mod stock;
mod stopping;

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Looks until the condition holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
