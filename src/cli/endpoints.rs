use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use event_sender::{EventSender, Secret};
use jobs::deliver_event;
use jobs::send_test_event::SendTestEvent;
use queue::{JobState, NewJob};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use sqlx::PgPool;
use store::events::EventType;
use store::webhook_endpoints::{
    self, Change, Changes, Enabled, Endpoint, From, NewEndpoint, Retired, Rotated,
};
use store::{EndpointId, Keyring};
use url::Url;

use super::desk::Sure;
use super::exit::{Missing, Refused};
use crate::config::Config;
use crate::database;

mod show;

/// Endpoints read in one query.
const PAGE: u16 = 200;

/// How long the answer to a test is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List endpoints, oldest first, and how each is doing.
    List {
        /// Only this organization's.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
    },
    /// Show one endpoint.
    Show(One),
    /// Make an endpoint for the events that come from now on, and print its secret: now or never.
    Add(New),
    /// Change an endpoint; what is not named stays.
    Set(Set),
    /// Remove an endpoint. What it did not get yet, it never gets.
    Remove {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        sure: Sure,
    },
    /// Make a new secret and print it; the old one signs as well, until `retire`.
    Rotate(One),
    /// Remove the old secret.
    Retire(One),
    /// Deliver to an endpoint again, at once.
    Enable {
        #[command(flatten)]
        one: One,
        /// From where on.
        #[arg(long, value_enum, default_value_t = Start::Stopped)]
        from: Start,
    },
    /// Stop delivering to an endpoint, which keeps its place.
    Disable(One),
    /// Have a worker send an event that means nothing, and tell whether it was taken.
    Test(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id, as `endpoints list` shows it.
    id: EndpointId,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Where to, such as <https://hooks.example/syncline>.
    url: Url,
    /// Only this organization's events; without it, every organization's.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// What you will know it by.
    #[arg(long)]
    description: Option<String>,
    /// Only these types, such as account.linked; without it, all.
    #[arg(long = "event-type", value_parser = event_type, value_delimiter = ',', value_name = "TYPE")]
    event_types: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Set {
    #[command(flatten)]
    one: One,
    /// Where to from now on.
    #[arg(long)]
    url: Option<Url>,
    /// What you will know it by; empty for nothing.
    #[arg(long)]
    description: Option<String>,
    /// Only these types from now on.
    #[arg(long = "event-type", value_parser = event_type, value_delimiter = ',', value_name = "TYPE")]
    event_types: Vec<String>,
    /// All types from now on.
    #[arg(long, conflicts_with = "event_types")]
    all_event_types: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    /// The first event that it did not get.
    Stopped,
    /// What comes next; everything in between is left out.
    Now,
}

/// A type of event by its name.
fn event_type(name: &str) -> Result<String, String> {
    let known = EventType::parse(name).map(|known| known.as_str().to_owned());
    known.ok_or_else(|| {
        let names = EventType::ALL.map(EventType::as_str).join(", ");
        format!("expected one of {names}")
    })
}

/// Runs one of the verbs on endpoints. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let pool = database::connect(&config.database).await?;
    let desk = Desk {
        config,
        pool: &pool,
        is_json: args.json,
    };
    match args.command {
        Command::List { organization } => desk.list(organization.as_deref()).await,
        Command::Show(One { id }) => {
            let found = webhook_endpoints::find(&mut *pool.acquire().await?, id, None).await?;
            desk.print(&found.ok_or_else(|| missing(id))?)
        }
        Command::Add(new) => desk.add(&new).await,
        Command::Set(set) => desk.set(&set).await,
        Command::Remove {
            one: One { id },
            sure,
        } => {
            sure.ask(&format!("Remove endpoint {id}?"))?;
            let is_known = webhook_endpoints::delete(&mut *pool.acquire().await?, id, None).await?;
            anyhow::ensure!(is_known, missing(id));
            Ok(())
        }
        Command::Rotate(One { id }) => desk.rotate(id).await,
        Command::Retire(One { id }) => {
            match webhook_endpoints::retire_secret(&mut *pool.acquire().await?, id, None).await? {
                Retired::Done(endpoint) => desk.print(&endpoint),
                Retired::Nothing => {
                    anyhow::bail!(Refused(format!("endpoint {id} has no old secret")))
                }
                Retired::Missing => Err(missing(id).into()),
            }
        }
        Command::Enable { one, from } => desk.enable(one.id, from).await,
        Command::Disable(One { id }) => {
            let found = webhook_endpoints::disable(&mut *pool.acquire().await?, id, None).await?;
            desk.print(&found.ok_or_else(|| missing(id))?)
        }
        Command::Test(One { id }) => desk.test(id).await,
    }
}

fn missing(id: EndpointId) -> Missing {
    Missing(format!("endpoint {id}"))
}

/// Where all the verbs are at work.
struct Desk<'a> {
    config: &'a Config,
    pool: &'a PgPool,
    is_json: bool,
}

impl Desk<'_> {
    async fn list(&self, organization: Option<&str>) -> anyhow::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let mut endpoints: Vec<Endpoint> = Vec::new();
        loop {
            let last = endpoints.last().map(|endpoint| endpoint.id);
            let page = webhook_endpoints::list(&mut conn, organization, last, PAGE).await?;
            let is_last = page.len() < usize::from(PAGE);
            endpoints.extend(page);
            if is_last {
                break;
            }
        }
        if self.is_json {
            return print_json(&endpoints);
        }
        write!(io::stdout().lock(), "{}", show::table(&endpoints).shown())?;
        Ok(())
    }

    async fn add(&self, new: &New) -> anyhow::Result<()> {
        self.check(&new.url)?;
        let secret = Secret::generate();
        let event_types = (!new.event_types.is_empty()).then_some(&*new.event_types);
        let row = NewEndpoint {
            organization_id: new.organization.as_deref(),
            url: new.url.as_str(),
            description: new.description.as_deref(),
            event_types,
            secret: secret.bytes(),
        };
        let mut conn = self.pool.acquire().await?;
        let made = webhook_endpoints::create(&mut conn, &self.keyring()?, &row).await?;
        let most = webhook_endpoints::MOST;
        let made = made.with_context(|| {
            format!("there are {most} endpoints already; remove one that is not needed")
        })?;
        self.print_with_secret(&made, &secret)
    }

    async fn set(&self, set: &Set) -> anyhow::Result<()> {
        if let Some(url) = &set.url {
            self.check(url)?;
        }
        let changes = Changes {
            url: set.url.as_ref().map(Url::as_str),
            description: match set.description.as_deref() {
                None => Change::Keep,
                Some("") => Change::Remove,
                Some(text) => Change::To(text),
            },
            event_types: match set.event_types.as_slice() {
                _ if set.all_event_types => Change::Remove,
                [] => Change::Keep,
                types => Change::To(types),
            },
        };
        let (id, mut tx) = (set.one.id, self.pool.begin().await?);
        let endpoint = webhook_endpoints::update(&mut tx, id, None, &changes).await?;
        let endpoint = endpoint.ok_or_else(|| missing(id))?;
        if set.url.is_some() && endpoint.disabled_at.is_none() {
            deliver_event::deliver_now(&mut tx, &endpoint).await?;
        }
        tx.commit().await?;
        self.print(&endpoint)
    }

    async fn rotate(&self, id: EndpointId) -> anyhow::Result<()> {
        let secret = Secret::generate();
        let mut conn = self.pool.acquire().await?;
        let keyring = self.keyring()?;
        match webhook_endpoints::rotate_secret(&mut conn, &keyring, id, None, secret.bytes())
            .await?
        {
            Rotated::Done(endpoint) => self.print_with_secret(&endpoint, &secret),
            Rotated::HasOld => anyhow::bail!(Refused(format!(
                "endpoint {id} has an old secret, which may be in use; remove it first: `syncline endpoints retire {id}`"
            ))),
            Rotated::Missing => Err(missing(id).into()),
        }
    }

    async fn enable(&self, id: EndpointId, from: Start) -> anyhow::Result<()> {
        let from = match from {
            Start::Stopped => From::Stopped,
            Start::Now => From::Now,
        };
        let mut tx = self.pool.begin().await?;
        let endpoint = match webhook_endpoints::enable(&mut tx, id, None, from).await? {
            Enabled::Done(endpoint) => endpoint,
            Enabled::Missing => return Err(missing(id).into()),
            Enabled::Forgotten => anyhow::bail!(Refused(
                "the events after the last delivery are kept no longer; enable it with `--from now`, \
                 and have the records read anew"
                    .to_owned()
            )),
        };
        deliver_event::deliver_now(&mut tx, &endpoint).await?;
        tx.commit().await?;
        self.print(&endpoint)
    }

    async fn test(&self, id: EndpointId) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        let found = webhook_endpoints::find(&mut tx, id, None).await?;
        found.ok_or_else(|| missing(id))?;
        let job = NewJob::new(&SendTestEvent { endpoint_id: id })?;
        let job_id = queue::enqueue(&mut tx, &job).await?.id;
        tx.commit().await?;
        let queue = queue::Client::new(self.pool.clone());
        queue.wake();
        let ended = queue.wait(job_id, PATIENCE).await?;
        let ended = ended.with_context(|| {
            format!(
                "no worker did it in {} s; job {job_id} waits",
                PATIENCE.as_secs()
            )
        })?;
        anyhow::ensure!(
            ended.state == JobState::Completed,
            "job {job_id} did not complete"
        );
        let result = ended.result.unwrap_or_default();
        if self.is_json {
            return print_json(&result);
        }
        if result["delivered"] == true {
            writeln!(
                io::stdout().lock(),
                "it was taken: {}",
                result["http_status"]
            )?;
            return Ok(());
        }
        let reason = result["error"].as_str().unwrap_or("no reason is known");
        anyhow::bail!("it was not taken: {reason}")
    }

    fn keyring(&self) -> anyhow::Result<Keyring> {
        Keyring::parse(&self.config.encryption.keys).context("cannot read the encryption keys")
    }

    fn check(&self, url: &Url) -> anyhow::Result<()> {
        let sender = EventSender::new(self.config.endpoints.sender())?;
        sender
            .check(url)
            .map_err(|refusal| anyhow::anyhow!("the URL {refusal}"))
    }

    fn print(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        if self.is_json {
            return print_json(endpoint);
        }
        write!(io::stdout().lock(), "{}", show::facts(endpoint).shown())?;
        Ok(())
    }

    fn print_with_secret(&self, endpoint: &Endpoint, secret: &Secret) -> anyhow::Result<()> {
        let text = secret.to_text();
        let text = text.expose_secret();
        if self.is_json {
            let mut shown = serde_json::to_value(endpoint)?;
            shown["secret"] = text.into();
            return print_json(&shown);
        }
        let mut facts = show::facts(endpoint);
        facts.add("secret", text);
        write!(io::stdout().lock(), "{}", facts.shown())?;
        Ok(())
    }
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}
