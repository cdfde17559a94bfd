use std::io::{self, Write as _};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::json;
use store::ApiKeyId;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, Sure};
use super::table::{Cell, Table, state};
use crate::config::Config;
use crate::ops::{Deed, Ops, keys};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it: now or never, for only its digest is stored.
    Create(New),
    /// List all keys, without the keys.
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Withdraw a key for good.
    Revoke {
        /// Its id, as `keys list` shows it.
        id: ApiKeyId,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// What you will know it by.
    #[arg(long)]
    name: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_values = ["link", "read"])]
    scope: Vec<keys::Scope>,
    /// The only organization it may act for; without it, all.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// When it ceases to be valid, such as 2027-01-31T00:00:00Z; without it, never.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<DateTime<Utc>>,
    /// A JSON object instead of the key alone.
    #[arg(long)]
    json: bool,
}

/// Runs one of the verbs on keys. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let ops = &desk.ops;
    match args.command {
        Command::Create(new) => create(ops, new).await,
        Command::List { look } => look.show(async || list(&desk).await).await,
        Command::Revoke { id, sure, form } => {
            sure.ask(&format!("Withdraw the key {id} for good?"))?;
            ops.revoke_key(id).await?;
            form.print(&Answer::done(Deed::KeyRevoke, id, json!({})))
        }
    }
}

async fn create(ops: &Ops, new: New) -> anyhow::Result<()> {
    let wanted = keys::NewKey {
        name: new.name,
        scopes: new.scope,
        organization_id: new.organization,
        expires_at: new.expires_at,
    };
    let (id, key) = ops.create_key(&wanted).await?;
    let mut out = io::stdout().lock();
    if new.json {
        writeln!(out, "{}", json!({ "id": id, "key": key.expose() }))?;
    } else {
        writeln!(out, "{}", key.expose())?;
    }
    Ok(())
}

async fn list(desk: &Desk) -> anyhow::Result<Answer> {
    let (all, now) = (desk.ops.keys().await?, desk.now().await?);
    let names = ["id", "prefix", "state", "organization", "scopes", "name"];
    let mut table = Table::new(&names);
    for key in &all {
        table.row([
            Cell::from(key.id),
            Cell::from(&key.prefix),
            state(keys::state(key, now)),
            Cell::from(key.organization_id.as_deref().unwrap_or("all")),
            Cell::from(key.scopes.join(",")),
            Cell::from(&key.name),
        ]);
    }
    Answer::new(table.shown(), &all)
}
