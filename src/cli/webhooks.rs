use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::webhook_deliveries::{self, DeliveryFilter, DeliveryView, Verdict};
use store::{AccountId, DeliveryId, Keyring};

use super::answer::{Answer, Form, Look};
use super::desk::Desk;
use super::exit::Missing;
use super::table::more;
use crate::config::{Config, Need, Sources};
use crate::ops::Deed;
use crate::ops::words::grouped;

mod show;
mod sign;

/// Deliveries read in one query.
const PAGE: u16 = 200;

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
        /// Only those behind this one: the last id of the page before.
        #[arg(long, value_name = "ID")]
        after: Option<DeliveryId>,
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        look: Look,
    },
    /// Show one delivery, its verdict and the jobs it caused.
    Show {
        /// Its id, as `webhooks list` shows it.
        id: DeliveryId,
        /// Its body, too, byte for byte as it came. It may hold an account token!
        #[arg(long, conflicts_with_all = ["json", "watch"])]
        body: bool,
        #[command(flatten)]
        look: Look,
    },
    /// Have deliveries judged once more, as if they had just come.
    Replay(Replay),
    /// Count deliveries by event and verdict, and show which secrets signed them.
    Stats {
        /// How far back to count, such as 1h or 7d.
        #[arg(long, value_parser = humantime::parse_duration, default_value = "24h", value_name = "TIME")]
        last: std::time::Duration,
        #[command(flatten)]
        look: Look,
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
    #[command(flatten)]
    form: Form,
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
    let desk = Desk::of(&config).await?;
    match args.command {
        Command::List {
            filter,
            after,
            limit,
            look,
        } => {
            look.show(async || list(&desk, &filter, after, limit).await)
                .await
        }
        Command::Show { id, body: true, .. } => body(&desk, &config, id).await,
        Command::Show { id, look, .. } => look.show(async || show(&desk, id).await).await,
        Command::Replay(replay) => replay.run(&desk).await,
        Command::Stats { last, look } => {
            look.show(async || show::stats(&desk, &config, last).await)
                .await
        }
        Command::Sign { .. } => Ok(()),
    }
}

async fn list(
    desk: &Desk,
    filter: &Filter,
    after: Option<DeliveryId>,
    limit: usize,
) -> anyhow::Result<Answer> {
    let mut conn = desk.pool.acquire().await?;
    let mut deliveries: Vec<DeliveryView> = Vec::new();
    while deliveries.len() < limit {
        let wanted = u16::try_from(limit - deliveries.len())
            .unwrap_or(PAGE)
            .min(PAGE);
        let last = deliveries.last().map(|delivery| delivery.id).or(after);
        let page = webhook_deliveries::list(&mut conn, &filter.as_stored(), last, wanted).await?;
        let is_last = page.len() < usize::from(wanted);
        deliveries.extend(page);
        if is_last {
            break;
        }
    }
    let last = deliveries.last().filter(|_| deliveries.len() == limit);
    let text = show::table(&deliveries).shown() + &more(last.map(|last| last.id));
    Answer::new(text, &deliveries)
}

async fn body(desk: &Desk, config: &Config, id: DeliveryId) -> anyhow::Result<()> {
    let keyring =
        Keyring::parse(&config.encryption.keys).context("cannot read the encryption keys")?;
    let mut conn = desk.pool.acquire().await?;
    let body = webhook_deliveries::open_body(&mut conn, &keyring, id).await?;
    let body = body.ok_or_else(|| Missing(format!("delivery {id}")))?;
    io::stdout().lock().write_all(body.expose_secret())?;
    Ok(())
}

async fn show(desk: &Desk, id: DeliveryId) -> anyhow::Result<Answer> {
    let mut conn = desk.pool.acquire().await?;
    let delivery = webhook_deliveries::find(&mut conn, id).await?;
    let delivery = delivery.ok_or_else(|| Missing(format!("delivery {id}")))?;
    Answer::new(show::facts(&delivery).shown(), &delivery)
}

impl Replay {
    async fn run(&self, desk: &Desk) -> anyhow::Result<()> {
        let Some(id) = self.id else {
            let count = desk.ops.replay_webhooks(&self.filter.as_stored()).await?;
            let more = json!({ "replayed": count });
            let answer = Answer::done(Deed::WebhookReplay, "many", more);
            let sentence = format!("{} judged once more.", plural_deliveries(count));
            return self.form.print(&answer.saying(&sentence));
        };
        desk.ops.replay_webhook(id).await?;
        let more = json!({ "replayed": 1 });
        self.form
            .print(&Answer::done(Deed::WebhookReplay, id, more))
    }
}

fn plural_deliveries(count: u64) -> String {
    match count {
        1 => "1 delivery is".to_owned(),
        count => format!("{} deliveries are", grouped(count)),
    }
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
