use std::io::{self, Write as _};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use sqlx::PgPool;
use store::ApiKeyId;
use store::api_keys::{self, NewApiKey};

use crate::api::ApiKey;
use crate::config::Config;
use crate::database;

/// Keys listed in one query.
const PAGE: u16 = 200;

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

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Read => "read",
            Self::Endpoints => "endpoints",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// Runs one of the verbs on keys. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let pool = database::connect(&config.database).await?;
    match args.command {
        Command::Create(new) => create(&pool, &new).await,
        Command::List { json } => list(&pool, json).await,
        Command::Revoke { id } => revoke(&pool, id).await,
    }
}

async fn create(pool: &PgPool, new: &New) -> anyhow::Result<()> {
    let key = ApiKey::generate();
    let scopes: Vec<String> = new
        .scope
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    let row = NewApiKey {
        name: &new.name,
        prefix: key.prefix(),
        key_hash: key.digest(),
        scopes: &scopes,
        organization_id: new.organization.as_deref(),
        expires_at: new.expires_at,
    };
    let id = api_keys::create(&mut *pool.acquire().await?, &row).await?;
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

async fn list(pool: &PgPool, is_json: bool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    let mut keys = Vec::new();
    loop {
        let last = keys.last().map(|key: &api_keys::ApiKey| key.id);
        let page = api_keys::list(&mut conn, last, PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        keys.extend(page);
        if is_last {
            break;
        }
    }
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

async fn revoke(pool: &PgPool, id: ApiKeyId) -> anyhow::Result<()> {
    let is_known = api_keys::revoke(&mut *pool.acquire().await?, id).await?;
    anyhow::ensure!(is_known, "there is no key {id}");
    Ok(())
}
