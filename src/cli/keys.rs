use std::io::{self, Write as _};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use store::ApiKeyId;

use super::of_terminal;
use crate::config::Config;
use crate::ops::{Ops, keys};

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
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Withdraw a key for good.
    Revoke {
        /// Its id, as `keys list` shows it.
        id: ApiKeyId,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// What you will know it by.
    #[arg(long)]
    name: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_values = ["link", "read"])]
    scope: Vec<Scope>,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Link, relink and delete accounts.
    Link,
    /// Read accounts, records and jobs; look at the console.
    Read,
    /// Say where events are sent to.
    Endpoints,
    /// Put things right in the console.
    Operate,
    /// Everything.
    Admin,
}

impl From<Scope> for keys::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Link => Self::Link,
            Scope::Read => Self::Read,
            Scope::Endpoints => Self::Endpoints,
            Scope::Operate => Self::Operate,
            Scope::Admin => Self::Admin,
        }
    }
}

/// Runs one of the verbs on keys. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let ops = of_terminal(config).await?;
    match args.command {
        Command::Create(new) => create(&ops, new).await,
        Command::List { json } => list(&ops, json).await,
        Command::Revoke { id } => Ok(ops.revoke_key(id).await?),
    }
}

async fn create(ops: &Ops, new: New) -> anyhow::Result<()> {
    let wanted = keys::NewKey {
        name: new.name,
        scopes: new.scope.into_iter().map(Into::into).collect(),
        organization_id: new.organization,
        expires_at: new.expires_at,
    };
    let (id, key) = ops.create_key(&wanted).await?;
    let mut out = io::stdout().lock();
    if new.json {
        writeln!(
            out,
            "{}",
            serde_json::json!({ "id": id, "key": key.expose() })
        )?;
    } else {
        writeln!(out, "{}", key.expose())?;
    }
    Ok(())
}

async fn list(ops: &Ops, is_json: bool) -> anyhow::Result<()> {
    let keys = ops.keys().await?;
    let mut out = io::stdout().lock();
    if is_json {
        let text = serde_json::to_string_pretty(&keys).context("cannot write the keys as JSON")?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<36}  {:<11}  {:<20}  {:<16}  {:<12}  name",
        "id", "prefix", "organization", "scopes", "state"
    )?;
    for key in keys {
        let organization = key.organization_id.as_deref().unwrap_or("all");
        let state = if key.revoked_at.is_some() {
            "revoked"
        } else {
            "valid"
        };
        writeln!(
            out,
            "{:<36}  {:<11}  {organization:<20}  {:<16}  {state:<12}  {}",
            key.id.to_string(),
            key.prefix,
            key.scopes.join(","),
            key.name
        )?;
    }
    Ok(())
}
