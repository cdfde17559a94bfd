use chrono::SecondsFormat;
use clap::Subcommand;
use store::audit::{self, Entry, EntryFilter, Verdict};

use super::answer::{Answer, Form, Look};
use super::desk::Desk;
use super::table::{Cell, Table};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what people changed, newest first.
    List(List),
    /// Prove that nobody changed the log: every entry's hash covers all entries before it.
    ///
    /// Prints the newest hash: keep it elsewhere, or compare it with what the process logged.
    Verify {
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only what was done to this: an id, a user's name.
    #[arg(long)]
    target: Option<String>,
    /// Only entries before this place: the last of the page before.
    #[arg(long, value_name = "PLACE")]
    before: Option<i64>,
    /// How many, at most.
    #[arg(long, default_value_t = 50)]
    limit: u16,
    #[command(flatten)]
    look: Look,
}

/// Runs one of the verbs on the audit log. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    match args.command {
        Command::List(list) => list.look.show(async || list.answer(&desk).await).await,
        Command::Verify { form } => {
            let verdict = audit::verify(&mut *desk.pool.acquire().await?).await?;
            let text = match &verdict {
                Verdict::Whole { entries, head } => {
                    format!("whole: {entries} entries, the newest has the hash {head}\n")
                }
                Verdict::Broken { .. } => String::new(),
            };
            form.print(&Answer::new(text, &verdict)?)?;
            match verdict {
                Verdict::Whole { .. } => Ok(()),
                Verdict::Broken { position, fault } => {
                    anyhow::bail!("the audit log is broken at entry {position}: {fault}")
                }
            }
        }
    }
}

impl List {
    async fn answer(&self, desk: &Desk) -> anyhow::Result<Answer> {
        let filter = EntryFilter {
            target: self.target.as_deref(),
            before: self.before,
        };
        let mut conn = desk.pool.acquire().await?;
        let entries = audit::list(&mut conn, &filter, self.limit).await?;
        Answer::new(entries_table(&entries).shown(), &entries)
    }
}

/// Entries, a line each.
pub(super) fn entries_table(entries: &[Entry]) -> Table {
    let mut table = Table::new(&[
        "place", "at", "actor", "action", "target", "reason", "detail",
    ]);
    for entry in entries {
        table.row([
            Cell::from(entry.position),
            Cell::from(entry.at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            Cell::from(&entry.actor),
            Cell::from(&entry.action),
            Cell::from(&entry.target),
            Cell::from(entry.reason.as_deref().unwrap_or_default()),
            Cell::from(&entry.detail),
        ]);
    }
    table
}
