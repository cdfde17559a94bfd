//! Where the time of our drain goes.

use anyhow::Result;

use crate::contenders::ours;
use crate::ledger::Payload;
use crate::profile;
use crate::workloads::{Bench, say};

/// Drains once with statements counted, and writes what they took to stderr.
pub(crate) async fn run(bench: &Bench, jobs: &[Payload]) -> Result<()> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    database.count_statements().await?;
    ours::load(&database, jobs).await?;
    database.settle().await?;
    profile::begin(&bench.server).await?;
    let before = bench.server.cpu()?;
    let took = ours::drain(&database, jobs.len() as u64, bench.bulk).await?;
    let used = bench.server.cpu()?.since(before);
    say(&format!(
        "\nours, {} jobs: {:.3} s; processor: client {:.2} s, Postgres {:.2} s",
        jobs.len(),
        took.as_secs_f64(),
        used.client,
        used.postgres
    ));
    profile::tell(&bench.server, &database).await?;
    database.drop().await
}
