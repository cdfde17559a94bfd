//! The workloads, one file each, and what they share.

pub(crate) mod backlog;
pub(crate) mod drain;
pub(crate) mod enqueue;
pub(crate) mod fairness;
pub(crate) mod held_open;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod limiter;
pub(crate) mod profile;
pub(crate) mod two_processes;

use std::io::Write as _;

use anyhow::{Context as _, Result};

use crate::contenders::ours::Profile;
use crate::contenders::{Contender, Templates};
use crate::ledger::Payload;
use crate::report::Report;
use crate::server::Server;

/// One run of the tool.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) templates: Templates,
    pub(crate) report: Report,
    /// How our worker is set for drains.
    pub(crate) bulk: Profile,
    /// Smaller numbers, fewer rounds.
    pub(crate) is_quick: bool,
}

/// What draining cost.
#[derive(Debug, Clone)]
pub(crate) struct Drained {
    pub(crate) jobs_per_second: f64,
    /// Seconds of processor time for 10,000 jobs.
    pub(crate) client_cpu: f64,
    pub(crate) postgres_cpu: f64,
    /// Afterwards, largest first.
    pub(crate) table_sizes: Vec<(String, i64)>,
}

impl Bench {
    /// The number for a whole run, or the one for `--quick`.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    /// Our queue, as it is set for drains.
    pub(crate) fn ours(&self) -> Contender {
        Contender::Ours(self.bulk)
    }

    /// One round: a fresh database, filled, drained, checked, dropped.
    pub(crate) async fn drain(&self, contender: Contender, jobs: &[Payload]) -> Result<Drained> {
        let database = self.server.copy(self.templates.of(contender)).await?;
        contender.load(&database, jobs).await?;
        database.settle().await?;
        let before = self.server.cpu()?;
        let took = contender.drain(&database, jobs.len() as u64).await;
        let took =
            took.with_context(|| format!("{}: {}", contender.name(), contender.settings()))?;
        let used = self.server.cpu()?.since(before);
        let table_sizes = database.table_sizes().await?;
        database.drop().await?;
        let jobs = count(jobs.len());
        let drained = Drained {
            jobs_per_second: jobs / took.as_secs_f64(),
            client_cpu: used.client / jobs * 10_000.0,
            postgres_cpu: used.postgres / jobs * 10_000.0,
            table_sizes,
        };
        say(&format!(
            "  {:<16} {:>8.0} jobs/s   {}",
            contender.name(),
            drained.jobs_per_second,
            contender.settings()
        ));
        Ok(drained)
    }
}

/// Progress, on stderr.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Counts here are far below the limit of a double's digits.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

/// The same in mebibytes.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
