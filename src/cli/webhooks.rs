use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use jobs::process_deliveries::ProcessDeliveries;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use sqlx::PgPool;
use store::webhook_deliveries::{self, DeliveryFilter, DeliveryView, Replayed, Verdict};
use store::{AccountId, DeliveryId, Keyring};

use crate::config::{Config, Need, Sources};
use crate::database;

mod show;
mod sign;

/// Deliveries read in one query.
const PAGE: u16 = 200;
/// Deliveries replayed in one transaction.
const BATCH: u16 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deliveries, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show one delivery, its verdict and the jobs it caused.
    Show {
        /// Its id, as `webhooks list` shows it.
        id: DeliveryId,
        /// Its body, too, byte for byte as it came. It may hold an account token!
        #[arg(long)]
        body: bool,
        /// A JSON object instead of lines.
        #[arg(long, conflicts_with = "body")]
        json: bool,
    },
    /// Have deliveries judged once more, as if they had just come.
    Replay(Replay),
    /// Count deliveries by event and verdict, and show which secrets signed them.
    Stats {
        /// How far back to count, such as 1h or 7d.
        #[arg(long, value_parser = humantime::parse_duration, default_value = "24h", value_name = "TIME")]
        last: std::time::Duration,
        /// A JSON object instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Sign a body as Merge does, and print a curl line that delivers it.
    Sign {
        /// The file to deliver; without it, stdin.
        file: Option<PathBuf>,
        /// Where to.
        #[arg(long, default_value = "http://127.0.0.1:8080/api/webhooks/merge")]
        url: url::Url,
        /// The signature alone.
        #[arg(long)]
        signature_only: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those with this verdict.
    #[arg(long, value_parser = verdict)]
    verdict: Option<Verdict>,
    /// Only this event, such as Employee.synced.
    #[arg(long)]
    event: Option<String>,
    /// Only those about this linked account (our id).
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only those received at this time or later, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Only those received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, clap::Args)]
struct Replay {
    /// One delivery …
    #[arg(required_unless_present = "since")]
    id: Option<DeliveryId>,
    /// … or all of a time that pass the filter.
    #[command(flatten)]
    filter: Filter,
    /// A JSON object instead of a sentence.
    #[arg(long)]
    json: bool,
}

/// A verdict by its name.
fn verdict(name: &str) -> Result<Verdict, String> {
    let found = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.as_str() == name);
    found.ok_or_else(|| {
        let names = Verdict::ALL.map(Verdict::as_str).join(", ");
        format!("expected one of {names}")
    })
}

impl Filter {
    fn as_stored(&self) -> DeliveryFilter<'_> {
        DeliveryFilter {
            verdict: self.verdict,
            event: self.event.as_deref(),
            account_id: self.account,
            since: self.since,
            until: self.until,
        }
    }
}

/// Runs one of the verbs on webhooks. The database must have been migrated.
pub(super) async fn run(args: Args, sources: &Sources) -> anyhow::Result<()> {
    let config = super::load(sources, Need::Database)?;
    if let Command::Sign {
        file,
        url,
        signature_only,
    } = args.command
    {
        return sign::run(&config, file.as_deref(), &url, signature_only);
    }
    let pool = database::connect(&config.database).await?;
    match args.command {
        Command::List {
            filter,
            limit,
            json,
        } => list(&pool, &filter, limit, json).await,
        Command::Show { id, body, json } => show(&pool, &config, id, body, json).await,
        Command::Replay(replay) => replay.run(&pool).await,
        Command::Stats { last, json } => show::stats(&pool, &config, last, json).await,
        Command::Sign { .. } => Ok(()),
    }
}

async fn list(pool: &PgPool, filter: &Filter, limit: usize, is_json: bool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    let mut deliveries: Vec<DeliveryView> = Vec::new();
    while deliveries.len() < limit {
        let wanted = u16::try_from(limit - deliveries.len())
            .unwrap_or(PAGE)
            .min(PAGE);
        let last = deliveries.last().map(|delivery| delivery.id);
        let page = webhook_deliveries::list(&mut conn, &filter.as_stored(), last, wanted).await?;
        let is_last = page.len() < usize::from(wanted);
        deliveries.extend(page);
        if is_last {
            break;
        }
    }
    if is_json {
        return print_json(&deliveries);
    }
    show::table(&deliveries)
}

async fn show(
    pool: &PgPool,
    config: &Config,
    id: DeliveryId,
    with_body: bool,
    is_json: bool,
) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    if with_body {
        let keyring =
            Keyring::parse(&config.encryption.keys).context("cannot read the encryption keys")?;
        let body = webhook_deliveries::open_body(&mut conn, &keyring, id).await?;
        let body = body.with_context(|| format!("there is no delivery {id}"))?;
        io::stdout().lock().write_all(body.expose_secret())?;
        return Ok(());
    }
    let delivery = webhook_deliveries::find(&mut conn, id).await?;
    let delivery = delivery.with_context(|| format!("there is no delivery {id}"))?;
    if is_json {
        return print_json(&delivery);
    }
    show::lines(&delivery)
}

impl Replay {
    async fn run(&self, pool: &PgPool) -> anyhow::Result<()> {
        let deliveries = match self.id {
            Some(id) => {
                let replayed = commit(pool, async |conn| {
                    webhook_deliveries::replay(conn, id).await
                });
                let count = replayed.await?.deliveries;
                anyhow::ensure!(
                    count > 0,
                    "there is no delivery {id} that was judged already"
                );
                count
            }
            None => self.all(pool).await?,
        };
        if self.json {
            return print_json(&serde_json::json!({ "replayed": deliveries }));
        }
        writeln!(
            io::stdout().lock(),
            "{deliveries} deliveries are judged once more"
        )?;
        Ok(())
    }

    async fn all(&self, pool: &PgPool) -> anyhow::Result<u64> {
        let (mut count, mut last) = (0, None);
        loop {
            let filter = self.filter.as_stored();
            let replayed = commit(pool, async |conn| {
                webhook_deliveries::replay_between(conn, &filter, last, BATCH).await
            });
            let replayed = replayed.await?;
            count += replayed.deliveries;
            last = replayed.last;
            if last.is_none() {
                return Ok(count);
            }
        }
    }
}

/// Makes deliveries wait again, and enqueues their drains, in one transaction. Workers find them at their next look.
async fn commit(
    pool: &PgPool,
    replay: impl AsyncFnOnce(&mut sqlx::PgConnection) -> Result<Replayed, store::Error>,
) -> anyhow::Result<Replayed> {
    let mut tx = pool.begin().await?;
    let replayed = replay(&mut tx).await?;
    queue::enqueue_many(&mut tx, &ProcessDeliveries::of_shards(&replayed.shards)?).await?;
    tx.commit().await?;
    Ok(replayed)
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// A file, or stdin, byte for byte.
fn read_body(file: Option<&std::path::Path>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    match file {
        Some(file) => {
            return std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        }
        None => io::stdin()
            .lock()
            .read_to_end(&mut body)
            .context("cannot read stdin")?,
    };
    Ok(body)
}
