//! `bench queue`: the durable queue.

use anyhow::Result;
use clap::ValueEnum;

use super::load;
use crate::contenders::Templates;
use crate::contenders::ours::Profile;
use crate::report::Report;
use crate::server::Server;
use crate::workloads::{
    Bench, backlog, drain, enqueue, fairness, held_open, idle, latency, limiter, profile,
    two_processes,
};

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
    /// Our worker's slots in drains.
    #[arg(long, value_name = "JOBS", default_value_t = Profile::BULK.slots)]
    slots: usize,
    /// Its jobs of one lane at once.
    #[arg(long, value_name = "JOBS", default_value_t = Profile::BULK.lane_concurrency)]
    lane_concurrency: usize,
    /// Jobs after which a lane's turn ends.
    #[arg(long, value_name = "JOBS", default_value_t = Profile::BULK.quantum)]
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
    /// W1 with a million scheduled and a million finished jobs.
    W4,
    /// W1 by two processes.
    W5,
    /// A thousand lanes beside one with a million jobs.
    W6,
    /// W1 while another transaction is held open.
    W7,
    /// Rate limits, kept by four processes that are killed.
    W8,
    /// What an idle worker asks of the database, and how much memory it takes.
    Idle,
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
        bulk: Profile {
            slots: args.slots,
            lane_concurrency: args.lane_concurrency,
            quantum: args.quantum,
            ..Profile::BULK
        },
        is_quick: args.quick,
    };
    if args.profile {
        return profile::run(&bench, &drain::jobs(&bench)).await;
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
            Self::W4 => backlog::run(bench).await,
            Self::W5 => two_processes::run(bench).await,
            Self::W6 => fairness::run(bench).await,
            Self::W7 => held_open::run(bench).await,
            Self::W8 => limiter::run(bench).await,
            Self::Idle => idle::run(bench).await,
        }
    }
}
