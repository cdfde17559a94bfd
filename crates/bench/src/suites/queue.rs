//! `bench queue`: the durable queue.

use std::fs;

use anyhow::Result;
use clap::ValueEnum;

use crate::contenders::Templates;
use crate::contenders::ours::Profile;
use crate::report::Report;
use crate::server::Server;
use crate::workloads::{Bench, drain, enqueue, latency, profile};

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Smaller numbers and fewer rounds: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Write JSON to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    only: Vec<Workload>,
    /// Show where the time of our own drain goes, and measure nothing else.
    #[arg(long)]
    profile: bool,
    /// Our worker's slots in the drains.
    #[arg(long, default_value_t = Profile::BULK.slots, hide = true)]
    slots: usize,
    /// Its concurrency in a lane.
    #[arg(long, default_value_t = Profile::BULK.lane_concurrency, hide = true)]
    lane_concurrency: usize,
    /// Its quantum.
    #[arg(long, default_value_t = Profile::BULK.quantum, hide = true)]
    quantum: usize,
}

/// As the issue names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Drain of jobs that do nothing.
    W1,
    /// Enqueueing one by one from 8 clients, and by thousands.
    W2,
    /// Latency of an idle worker.
    W3,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let server = Server::start().await?;
    let templates = Templates::make(&server).await?;
    let mut report = Report::default();
    report.about.push(format!(
        "{} processors, load {} at the start; {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        load(),
        server.describe()
    ));
    let mut bench = Bench {
        server,
        templates,
        report,
        is_quick: args.quick,
    };
    if args.profile {
        let profile = Profile {
            slots: args.slots,
            lane_concurrency: args.lane_concurrency,
            quantum: args.quantum,
        };
        return profile::run(&bench, &drain::jobs(&bench), profile).await;
    }
    for workload in Workload::value_variants() {
        if args.only.is_empty() || args.only.contains(workload) {
            workload.run(&mut bench).await?;
        }
    }
    bench
        .report
        .about
        .push(format!("load {} at the end", load()));
    bench.report.print(args.json)
}

impl Workload {
    async fn run(self, bench: &mut Bench) -> Result<()> {
        match self {
            Self::W1 => drain::run(bench).await,
            Self::W2 => enqueue::run(bench).await,
            Self::W3 => latency::run(bench).await,
        }
    }
}

/// Of the last minute, the last five and the last fifteen.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
