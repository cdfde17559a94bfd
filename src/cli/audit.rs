use std::io::{self, Write as _};

use anyhow::Context as _;
use chrono::SecondsFormat;
use clap::Subcommand;
use store::audit::{self, EntryFilter, Verdict};

use crate::config::Config;
use crate::database;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what people changed, newest first.
    List {
        /// Only what was done to this: an id, a user's name.
        #[arg(long)]
        target: Option<String>,
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: u16,
        /// One JSON object a line instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Prove that nobody changed the log: every entry's hash covers all entries before it.
    ///
    /// Prints the newest hash: keep it elsewhere, or compare it with what the process logged.
    Verify {
        /// A JSON object instead of a sentence.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of the verbs on the audit log. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let pool = database::connect(&config.database).await?;
    let mut conn = pool.acquire().await?;
    let mut out = io::stdout().lock();
    match args.command {
        Command::List {
            target,
            limit,
            json,
        } => {
            let filter = EntryFilter {
                target: target.as_deref(),
                before: None,
            };
            for entry in audit::list(&mut conn, &filter, limit).await? {
                if json {
                    writeln!(out, "{}", serde_json::to_string(&entry)?)?;
                    continue;
                }
                let at = entry.at.to_rfc3339_opts(SecondsFormat::Secs, true);
                let reason = entry.reason.unwrap_or_default();
                let (position, actor) = (entry.position, entry.actor);
                let (action, target, detail) = (entry.action, entry.target, entry.detail);
                writeln!(
                    out,
                    "{position:>6}  {at}  {actor}  {action}  {target}  {reason}  {detail}"
                )?;
            }
            Ok(())
        }
        Command::Verify { json } => {
            let verdict = audit::verify(&mut conn).await?;
            if json {
                let text = serde_json::to_string(&verdict).context("cannot write JSON")?;
                writeln!(out, "{text}")?;
            }
            match verdict {
                Verdict::Whole { .. } if json => Ok(()),
                Verdict::Whole { entries, head } => {
                    writeln!(
                        out,
                        "whole: {entries} entries, the newest has the hash {head}"
                    )?;
                    Ok(())
                }
                Verdict::Broken { position, fault } => {
                    anyhow::bail!("the audit log is broken at entry {position}: {fault}")
                }
            }
        }
    }
}
