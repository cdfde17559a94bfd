use clap::Subcommand;
use queue::Lane;
use queue::lanes::{self, LaneView, MOST_COUNTED};

use super::answer::{Answer, Look};
use super::desk::Desk;
use super::exit::Missing;
use super::table::{Cell, Facts, Table, maybe};
use crate::config::Config;
use crate::ops::words::{ago, stamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the lanes that are worked, that wait longest for a worker, and that rest: those that wait longest first.
    List {
        /// How many of each, at most.
        #[arg(long, default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        look: Look,
    },
    /// Show one lane. To pause it: `queues pause --lane`.
    Show {
        /// Its name, such as acct:0198….
        lane: String,
        #[command(flatten)]
        look: Look,
    },
}

/// Runs one of the verbs on lanes.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    match args.command {
        Command::List { limit, look } => look.show(async || list(&desk, limit).await).await,
        Command::Show { lane, look } => {
            let lane = Lane::named(&lane)?;
            look.show(async || show(&desk, &lane).await).await
        }
    }
}

async fn list(desk: &Desk, limit: u16) -> anyhow::Result<Answer> {
    let (lanes, now) = (lanes::list(&desk.pool, limit).await?, desk.now().await?);
    let mut table = Table::new(&[
        "lane",
        "running",
        "due",
        "oldest",
        "scheduled",
        "rests until",
        "crashes",
        "worker",
        "why it rests",
    ]);
    for lane in &lanes {
        let rests = lane.blocked_until.filter(|until| *until > now);
        table.row([
            Cell::from(&lane.lane),
            Cell::from(lane.running),
            Cell::from(due(lane)),
            maybe(lane.oldest_due_at.map(|at| ago(at, now))),
            Cell::from(lane.scheduled),
            maybe(rests.map(stamp)),
            Cell::from(lane.crashes),
            maybe(lane.owner_process.as_ref()),
            maybe(rests.and(lane.blocked_reason.as_ref())),
        ]);
    }
    Answer::new(table.shown(), &lanes)
}

/// Counted as far as it matters.
fn due(lane: &LaneView) -> String {
    let more = if lane.due >= MOST_COUNTED { "+" } else { "" };
    format!("{}{more}", lane.due)
}

async fn show(desk: &Desk, lane: &Lane) -> anyhow::Result<Answer> {
    let found = lanes::find(&desk.pool, lane).await?;
    let lane = found.ok_or_else(|| Missing(format!("lane {lane}: nothing ever happened in it")))?;
    let now = desk.now().await?;
    let mut facts = Facts::default();
    facts.add("lane", &lane.lane);
    facts.maybe("worked by", lane.owner_process.as_ref());
    facts.add("running", lane.running);
    facts.add("due", due(&lane));
    facts.maybe("oldest due", lane.oldest_due_at.map(|at| ago(at, now)));
    facts.add("scheduled", lane.scheduled);
    facts.maybe(
        "looked at next",
        lane.due_at.filter(|_| lane.owner.is_none()).map(stamp),
    );
    facts.maybe(
        "rests until",
        lane.blocked_until.filter(|until| *until > now).map(stamp),
    );
    facts.maybe("why", lane.blocked_reason.as_ref());
    facts.add("crashes", lane.crashes);
    Answer::new(facts.shown(), &lane)
}
