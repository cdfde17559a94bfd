use chrono::TimeDelta;
use clap::Subcommand;
use queue::Lane;
use queue::pause::Scope;
use serde_json::json;
use store::AccountId;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, span};
use super::jobs::queues;
use super::table::{Cell, Table, maybe, section, state};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::health::Snapshot;
use crate::ops::words::{age, ago, grouped, plural, stamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the queues, what waits in each and how long, and what is paused.
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Pause something, until a time or until somebody resumes it. What runs goes on.
    Pause {
        #[command(flatten)]
        what: What,
        /// Why, for those who wonder.
        #[arg(long)]
        reason: String,
        /// For how long, such as 30m; without it, until somebody resumes it.
        #[arg(long = "for", value_parser = span, value_name = "TIME")]
        span: Option<TimeDelta>,
        #[command(flatten)]
        form: Form,
    },
    /// Compare the counts of jobs with a look at all of them, which takes seconds with millions, and put right what differs.
    CheckCounts {
        #[command(flatten)]
        form: Form,
    },
    /// Let it go on.
    Resume {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// This queue.
    #[arg(long, value_parser = queues())]
    queue: Option<String>,
    /// All jobs of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// This lane.
    #[arg(long)]
    lane: Option<String>,
    /// All of this linked account (our id).
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// All of this organization.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// All jobs.
    #[arg(long)]
    everything: bool,
}

impl What {
    fn scope(&self) -> anyhow::Result<Scope> {
        if let Some(queue) = &self.queue {
            let scope = Scope::from_columns("queue", queue.clone());
            return Ok(scope.expect("one of the queues there are"));
        }
        if let Some(lane) = &self.lane {
            return Ok(Scope::Lane(Lane::named(lane)?));
        }
        if let Some(account) = self.account {
            return Ok(Scope::Lane(Lane::account(account.0)));
        }
        if let Some(organization) = &self.organization {
            return Ok(Scope::Organization(organization.clone()));
        }
        let kind = self.kind.clone().map(Scope::Kind);
        Ok(kind.unwrap_or(Scope::Everything))
    }
}

/// Runs one of the verbs on queues.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    match args.command {
        Command::List { look } => look.show(async || list(&desk).await).await,
        Command::Pause {
            what,
            reason,
            span,
            form,
        } => {
            let (scope, until) = (what.scope()?, desk.after(span).await?);
            desk.ops.pause(&scope, &reason, until).await?;
            let more = json!({ "until": until });
            form.print(&Answer::done(Deed::Pause, target(&scope), more))
        }
        Command::CheckCounts { form } => {
            let differences = desk.ops.check_counts().await?;
            let wrong = plural(differences.len() as u64, "count");
            let more = json!({ "differences": differences });
            form.print(&Answer::done(
                Deed::CountsCheck,
                format!("{wrong} put right"),
                more,
            ))
        }
        Command::Resume { what, form } => {
            let scope = what.scope()?;
            desk.ops.resume(&scope).await?;
            form.print(&Answer::done(Deed::Resume, target(&scope), json!({})))
        }
    }
}

fn target(scope: &Scope) -> String {
    let (scope, name) = scope.columns();
    format!("{scope} {name}").trim_end().to_owned()
}

async fn list(desk: &Desk) -> anyhow::Result<Answer> {
    let snapshot = Snapshot::take(&desk.pool, desk.now().await?).await?;
    let mut text = table(&snapshot).shown();
    if !snapshot.pauses.is_empty() {
        text += &section("paused", &pauses(&snapshot).shown());
    }
    let json = json!({ "queues": snapshot.queues, "pauses": snapshot.pauses });
    Answer::new(text, &json)
}

/// Queues, a line each.
pub(super) fn table(snapshot: &Snapshot) -> Table {
    let names = [
        "queue",
        "state",
        "available",
        "oldest",
        "running",
        "slots",
        "retryable",
        "scheduled",
        "dead",
        "done today",
    ];
    let mut table = Table::new(&names);
    for (name, queue) in &snapshot.queues {
        table.row([
            Cell::from(name),
            state(if snapshot.is_paused(name) {
                "paused"
            } else {
                "open"
            }),
            Cell::from(grouped(queue.available)),
            maybe(
                queue
                    .oldest_due
                    .map(|_| age(queue.oldest_age(snapshot.now))),
            ),
            Cell::from(grouped(queue.running)),
            Cell::from(grouped(queue.slots)),
            Cell::from(grouped(queue.retryable)),
            Cell::from(grouped(queue.scheduled)),
            Cell::from(grouped(queue.dead)),
            Cell::from(grouped(queue.completed_today)),
        ]);
    }
    table
}

fn pauses(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["what", "by", "since", "until", "reason"]);
    for pause in &snapshot.pauses {
        table.row([
            Cell::from(target(&pause.scope)),
            Cell::from(&pause.paused_by),
            Cell::from(ago(pause.paused_at, snapshot.now)),
            maybe(pause.paused_until.map(stamp)),
            Cell::from(&pause.reason),
        ]);
    }
    table
}
