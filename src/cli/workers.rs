use chrono::TimeDelta;
use clap::Subcommand;
use queue::WorkerId;
use queue::workers::{self, Ask};
use serde_json::json;
use uuid::Uuid;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, Sure};
use super::table::{Cell, Table, state};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::queues::worker_state;
use crate::ops::words::{ago, took};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the workers that live, and those that ended last. What one runs: `jobs list --worker`.
    List {
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        look: Look,
    },
    /// Let a worker start nothing more, and go on living.
    Quiet(One),
    /// Let it work again.
    Work(One),
    /// End a worker's process, as if it had been told to stop there.
    Drain {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id, as `workers list` shows it.
    id: Uuid,
    #[command(flatten)]
    form: Form,
}

/// Runs one of the verbs on workers.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let (one, what, deed) = match args.command {
        Command::List { limit, look } => {
            return look.show(async || list(&desk, limit).await).await;
        }
        Command::Quiet(one) => (one, Ask::Quiet, Deed::WorkerQuiet),
        Command::Work(one) => (one, Ask::Work, Deed::WorkerWork),
        Command::Drain { one, sure } => {
            sure.ask(&format!("End the process of worker {}?", one.id))?;
            (one, Ask::Drain, Deed::WorkerDrain)
        }
    };
    desk.ops.ask_worker(WorkerId(one.id), what).await?;
    one.form.print(&Answer::done(deed, one.id, json!({})))
}

async fn list(desk: &Desk, limit: u16) -> anyhow::Result<Answer> {
    let (workers, now) = (workers::list(&desk.pool, limit).await?, desk.now().await?);
    let mut table = Table::new(&[
        "id",
        "state",
        "running",
        "slots",
        "connections",
        "lanes",
        "lease",
        "started",
        "host",
        "pid",
        "version",
    ]);
    for worker in &workers {
        let slots = worker.slots.as_object().into_iter().flatten();
        let slots: u64 = slots.filter_map(|(_, slots)| slots.as_u64()).sum();
        let lease = TimeDelta::from_std(worker.lease_left).unwrap_or_default();
        table.row([
            Cell::from(worker.id),
            state(worker_state(worker)),
            Cell::from(worker.running),
            Cell::from(slots),
            Cell::from(format!(
                "{}/{}",
                worker.connections_in_use, worker.connections
            )),
            Cell::from(worker.lanes),
            Cell::from(took(lease)),
            Cell::from(ago(worker.started_at, now)),
            Cell::from(&worker.host),
            Cell::from(worker.pid),
            Cell::from(&worker.version),
        ]);
    }
    Answer::new(table.shown(), &workers)
}
