#![doc = include_str!("../README.md")]

mod child;
mod clock;
mod console;
mod contenders;
mod cpu;
mod domain;
mod fill;
mod ledger;
mod processes;
mod profile;
mod report;
mod server;
mod service;
mod sql;
mod statistics;
mod suites;
mod webhooks;
mod workloads;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Syncline, beside its peers and the physical limit, and says which targets are met.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The queue: drains, enqueueing, latency, fairness, limits.
    Queue(suites::queue::Args),
    /// Receiving webhooks: shared commits, with and without workers draining.
    Webhooks(suites::webhooks::Args),
    /// First syncs of many accounts by one process, and the memory they take.
    Domain(suites::domain::Args),
    /// The console's pages, with a million jobs that wait and a million that ended.
    Console(suites::console::Args),
    /// A receiver of webhooks in a process of its own; it is told what to do on stdin.
    #[command(hide = true)]
    Receiver,
    /// A worker process of a benchmark; it is told what to do on stdin.
    #[command(hide = true)]
    Worker,
    /// The simulated Merge in a process of its own; it is told what to do on stdin.
    #[command(hide = true)]
    FarSide,
    /// The service's worker in a process of its own; it is told what to do on stdin.
    #[command(hide = true)]
    Syncer,
    /// The console in a process of its own; it is told what to do on stdin.
    #[command(hide = true)]
    ConsoleServer,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error.into()),
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Queue(args) => suites::queue::run(args).await,
        Command::Webhooks(args) => suites::webhooks::run(args).await,
        Command::Receiver => webhooks::receiver::serve().await,
        Command::Worker => processes::serve().await,
        Command::Domain(args) => suites::domain::run(args).await,
        Command::Console(args) => suites::console::run(args).await,
        Command::ConsoleServer => console::server::serve().await,
        Command::FarSide => domain::far_side::serve().await,
        Command::Syncer => domain::syncer::serve().await,
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "bench: {error:#}");
    ExitCode::FAILURE
}
