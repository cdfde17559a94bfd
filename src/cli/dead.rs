use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::admin::groups::{self, DeadGroup};
use queue::admin::{self, Filter};
use serde_json::json;

use super::answer::{Answer, Form, Look};
use super::desk::Desk;
use super::exit::Missing;
use super::jobs::{table, time};
use super::table::{Cell, Facts, Table, maybe, section};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::groups::standing;
use crate::ops::words::{ago, grouped};

/// Jobs shown of a group.
const NEWEST: u16 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what jobs died of, the last seen first. To retry or delete a group: `jobs bulk … --group`.
    List {
        /// Those that somebody resolved, too.
        #[arg(long)]
        resolved: bool,
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        look: Look,
    },
    /// Show one group, and its newest jobs.
    Show {
        /// Its fingerprint, as `dead list` shows it.
        fingerprint: String,
        #[command(flatten)]
        look: Look,
    },
    /// Call a group resolved, until another job dies of it.
    Resolve {
        /// Its fingerprint.
        fingerprint: String,
        /// What was mended, for the audit log.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        form: Form,
    },
    /// Take that back.
    Reopen {
        /// Its fingerprint.
        fingerprint: String,
        #[command(flatten)]
        form: Form,
    },
}

/// Runs one of the verbs on groups of dead jobs.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    match args.command {
        Command::List {
            resolved,
            limit,
            look,
        } => look.show(async || list(&desk, resolved, limit).await).await,
        Command::Show { fingerprint, look } => {
            look.show(async || show(&desk, &fingerprint).await).await
        }
        Command::Resolve {
            fingerprint,
            reason,
            form,
        } => {
            desk.ops.resolve_group(&fingerprint, &reason).await?;
            form.print(&Answer::done(Deed::GroupResolve, fingerprint, json!({})))
        }
        Command::Reopen { fingerprint, form } => {
            desk.ops.reopen_group(&fingerprint).await?;
            form.print(&Answer::done(Deed::GroupReopen, fingerprint, json!({})))
        }
    }
}

async fn list(desk: &Desk, resolved: bool, limit: u16) -> anyhow::Result<Answer> {
    let mut groups = groups::list(&desk.pool, limit).await?;
    groups.retain(|group| resolved || group.is_open());
    let now = desk.now().await?;
    let mut table = Table::new(&[
        "fingerprint",
        "jobs",
        "lanes",
        "kind",
        "class",
        "http",
        "last",
        "today",
        "message",
    ]);
    for group in &groups {
        table.row([
            Cell::from(&group.fingerprint),
            Cell::from(grouped(group.jobs.unsigned_abs())),
            Cell::from(grouped(group.lanes.unsigned_abs())),
            Cell::from(&group.kind),
            Cell::from(&group.error_class),
            maybe(group.http_status),
            Cell::from(ago(group.last_seen_at, now)),
            Cell::from(group.trend.iter().sum::<i64>()),
            Cell::from(&group.message),
        ]);
    }
    Answer::new(table.shown(), &groups)
}

async fn show(desk: &Desk, fingerprint: &str) -> anyhow::Result<Answer> {
    let group = groups::find(&desk.pool, fingerprint).await?;
    let missing = || {
        Missing("such group of dead jobs; all of it may have been retried or deleted".to_owned())
    };
    let group = group.ok_or_else(missing)?;
    let filter = Filter {
        fingerprint: Some(fingerprint.to_owned()),
        ..Filter::default()
    };
    let newest = admin::list(&desk.queue, &filter, None, NEWEST).await?.jobs;
    let now = desk.now().await?;
    let text = facts(&group, now).shown() + &section("the newest", &table(&newest, now).shown());
    let mut json = serde_json::to_value(&group)?;
    json["newest_jobs"] = serde_json::to_value(&newest)?;
    Answer::new(text, &json)
}

fn facts(group: &DeadGroup, now: DateTime<Utc>) -> Facts {
    let mut facts = Facts::default();
    facts.add("fingerprint", &group.fingerprint);
    facts.add("kind", &group.kind);
    facts.add("class", &group.error_class);
    facts.maybe("http", group.http_status);
    facts.add("jobs", grouped(group.jobs.unsigned_abs()));
    facts.add("lanes", grouped(group.lanes.unsigned_abs()));
    facts.add("first seen", time(group.first_seen_at, now));
    facts.add("last seen", time(group.last_seen_at, now));
    facts.add("last 24 hours", group.trend.iter().sum::<i64>());
    facts.maybe("resolved", standing(group, now));
    facts.add("message", &group.message);
    facts
}
