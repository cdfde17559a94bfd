//! `syncline demo`: everything at once, on real HTTP, with a sandbox in Merge's place.
//!
//! ```text
//! ground    a private Postgres below `.syncline/` (or DATABASE_URL), a fresh database on it
//! sandbox   the simulated Merge, on a port of its own
//! machine   `serve` with all its roles, in this process, on a real port
//! product   a customer's backend: links accounts through the public API
//! incident  with `--incident`: what is broken on purpose
//! truth     with `--once`: what is stored, compared with what is true at the sandbox
//! ```
//!
//! It then goes on: the sandbox's records change, it syncs, sends webhooks; we poll and fetch. Ctrl-C ends it.

use std::{io::Write, net::SocketAddr, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::value_parser;
use futures::future::try_join_all;
use merge_sandbox::{AccountPlan, CompleteLink, Running, Sandbox, WebhookTarget};
use secrecy::SecretString;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

mod ground;
mod incident;
mod machine;
mod product;
mod progress;
mod summary;
pub mod truth;

use self::{
    ground::Ground,
    incident::Incident,
    machine::Machine,
    product::{Account, Customer, Product},
    progress::{Line, Progress, REFRESH, print},
    summary::{Summary, counter},
    truth::Comparison,
};
use super::stop;
use crate::{
    config::{Sources, Telemetry},
    telemetry,
};

/// How long nothing at all may happen before the demo gives up.
const PATIENCE: Duration = Duration::from_mins(3);
/// Requests the sandbox takes for one account in a minute: as Merge's Enterprise plan.
const PROVIDER_LIMIT: u32 = 600;

/// What to show.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// End after the first full sync: compare what is stored with the truth, print a summary as JSON.
    #[arg(long)]
    once: bool,
    /// When all is in step, break three things, for you to find with the console.
    #[arg(long, conflicts_with = "once")]
    incident: bool,
    /// Accounts to link, each of another customer.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = value_parser!(u32).range(1..=10_000))]
    accounts: u32,
    /// Records of the first syncs, over all accounts.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=100_000_000))]
    records: u32,
    /// Where the API listens; another port is taken when this one is not free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Runs the demo to its end: until a signal, or with `--once` until everything was compared.
pub(super) async fn run(args: Args, sources: Sources) -> Result<()> {
    ensure!(
        !args.incident || args.accounts >= incident::ACCOUNTS,
        "--incident needs three accounts or more; ask for them with --accounts"
    );
    let started = Instant::now();
    // What is broken is to be found at the console.
    let filter = if args.incident { "off" } else { "warn" };
    telemetry::init_logs(&Telemetry::for_people(filter));
    let stop = stop::on_signal()?;
    let ground = Ground::prepare(&sources).await?;
    let sandbox = start_sandbox(&args, &ground).await?;
    let machine = Machine::start(&args, &ground, &sandbox, sources).await?;
    sandbox.set_webhook_target(Some(WebhookTarget {
        url: machine.api.join("api/webhooks/merge")?,
        key: ground.secrets.webhook_secret.clone(),
    }));

    let stage = Stage {
        args,
        started,
        ground: &ground,
        sandbox: &sandbox,
        machine: &machine,
    };
    let played = stop.run_until_cancelled(stage.play()).await;
    if !stage.args.once && matches!(played, Some(Ok(_))) {
        stop.cancelled().await;
    }
    print("stopping …");
    let stopped = machine.stop().await;
    sandbox.stop().await;
    ground.leave().await?;
    played.transpose()?;
    stopped
}

async fn start_sandbox(args: &Args, ground: &Ground) -> Result<Running> {
    let options = merge_sandbox::Options {
        api_key: ground.secrets.sandbox_key.clone(),
        requests_per_minute: Some(PROVIDER_LIMIT),
        // A few more than asked for rather than a few less.
        plan: AccountPlan {
            records_per_account: args.records.div_ceil(args.accounts),
            ..AccountPlan::default()
        },
        ..merge_sandbox::Options::default()
    };
    Sandbox::start(options)
        .await
        .context("cannot start the sandbox")
}

/// Everything that runs, and when it began.
struct Stage<'a> {
    args: Args,
    started: Instant,
    ground: &'a Ground,
    sandbox: &'a Running,
    machine: &'a Machine,
}

impl Stage<'_> {
    /// Links, watches, sums up; with `--once`, compares.
    async fn play(&self) -> Result<Option<Incident>> {
        let key = SecretString::from(self.ground.secrets.api_key.clone());
        let product = Product::new(self.machine.api.clone(), key)?;
        self.introduce();
        let linking_began = Instant::now();
        let progress = Progress::new();
        let pace = Pace::of(self.args.accounts);
        let journeys = (0..self.args.accounts as usize).map(|number| {
            let customer = Customer::numbered(number);
            let line = progress.line(&customer);
            Journey {
                stage: self,
                product: &product,
                pace: &pace,
                number,
                customer,
                line,
            }
            .go()
        });
        let accounts = try_join_all(journeys).await?;

        let linking_took = linking_began.elapsed();
        let mut summary = self
            .sum_up(&product, &accounts, &pace, linking_took)
            .await?;
        if !self.args.once {
            print(&format!("\nin step\n{summary}"));
            let incident = self.break_something().await?;
            print("\nChanges, syncs, webhooks and polls go on. Ctrl-C ends the demo.");
            return Ok(incident);
        }
        let comparison = self.compare().await?;
        let is_equal = comparison.is_equal();
        summary.truth = Some(comparison.into());
        print_json(&summary)?;
        ensure!(is_equal, "what is stored is not what is true");
        Ok(None)
    }

    /// With `--incident`; what is broken stays so as long as the incident is there.
    async fn break_something(&self) -> Result<Option<Incident>> {
        if !self.args.incident {
            return Ok(None);
        }
        let incident = Incident::cause(self.machine, self.sandbox).await?;
        incident.tell(self.machine, &self.ground.secrets.api_key);
        Ok(Some(incident))
    }

    /// Says where to look.
    fn introduce(&self) {
        let Self {
            machine,
            sandbox,
            ground,
            ..
        } = self;
        let api = machine.api.as_str().trim_end_matches('/');
        print(&format!(
            "  console  {api}/console   log in with the API key\n  API      {api}   Authorization: Bearer {}\n  health   {api}/health/ready\n  metrics  {api}/metrics\n  \
             sandbox  {}\n  psql     psql '{}'\n",
            ground.secrets.api_key,
            sandbox.base_url(),
            ground.database_url,
        ));
    }

    async fn sum_up(
        &self,
        product: &Product,
        accounts: &[Account],
        pace: &Pace,
        linking_took: Duration,
    ) -> Result<Summary> {
        let metrics = product.metrics().await?;
        let jobs = |labels: &[&str]| counter(&metrics, "syncline_jobs_finished_total", labels);
        let completed = r#"outcome="completed""#;
        let records = accounts.iter().map(Account::records).sum();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let records_per_second = records as f64 / linking_took.as_secs_f64();
        Ok(Summary {
            accounts: accounts.len(),
            records,
            windows: jobs(&[completed, r#"kind="fetch_model_window""#]),
            jobs_completed: jobs(&[completed]),
            jobs_failed: jobs(&[r#"outcome="dead""#]) + jobs(&[r#"outcome="cancelled""#]),
            webhooks: (&self.sandbox.state()).into(),
            first_record_seconds: pace.first_record_after(self.started).as_secs_f64(),
            seconds: self.started.elapsed().as_secs_f64(),
            records_per_second,
            truth: None,
        })
    }

    /// Stops the changes, lets every account sync once more, waits until that is stored, and compares.
    async fn compare(&self) -> Result<Comparison> {
        print("comparing with the truth …");
        let pool = &self.machine.pool;
        truth::settle(self.sandbox).await;
        let caught_up = async {
            while !(truth::has_caught_up(pool, self.sandbox).await?
                && truth::compare(pool, self.sandbox).await?.is_equal())
            {
                sleep(REFRESH).await;
            }
            anyhow::Ok(())
        };
        match timeout(PATIENCE, caught_up).await {
            Ok(done) => done?,
            Err(_) => print("it is still not equal; these differ:"),
        }
        let comparison = truth::compare(pool, self.sandbox).await?;
        for difference in &comparison.described {
            print(&format!("  {difference}"));
        }
        Ok(comparison)
    }
}

/// How the accounts go side by side.
struct Pace {
    /// Accounts being linked at once: a person's click takes no longer because of others.
    linking: Semaphore,
    /// Between two looks at an account; longer when there are many.
    refresh: Duration,
    first_record: OnceLock<Instant>,
}

impl Pace {
    fn of(accounts: u32) -> Self {
        let refresh = REFRESH * accounts.div_ceil(40);
        Self {
            linking: Semaphore::new(8),
            refresh,
            first_record: OnceLock::new(),
        }
    }

    fn first_record_after(&self, started: Instant) -> Duration {
        self.first_record
            .get()
            .map_or(Duration::ZERO, |at| at.duration_since(started))
    }
}

/// One customer's way, from the click to the last record of the first sync.
struct Journey<'a> {
    stage: &'a Stage<'a>,
    product: &'a Product,
    pace: &'a Pace,
    number: usize,
    customer: Customer,
    line: Line,
}

impl Journey<'_> {
    async fn go(mut self) -> Result<Account> {
        let id = self
            .link()
            .await
            .with_context(|| format!("cannot link {}", self.customer.name))?;
        let mut changed_at = Instant::now();
        let mut last = (0, 0);
        loop {
            let account = self.product.account(&id).await?;
            self.line.show(&account);
            let now = (account.models_done(), account.records());
            if now.1 > 0 {
                self.pace.first_record.get_or_init(Instant::now);
            }
            if account.initial_sync_completed_at.is_some() {
                self.line.finish();
                return Ok(account);
            }
            if now != last {
                (last, changed_at) = (now, Instant::now());
            } else if changed_at.elapsed() > PATIENCE {
                bail!(
                    "nothing more arrives of account {id} of {}: {account:?}",
                    self.customer.name
                );
            }
            sleep(self.pace.refresh).await;
        }
    }

    /// Links as the customer does, with the dialog open.
    async fn link(&self) -> Result<String> {
        let _turn = self.pace.linking.acquire().await?;
        let link = self.product.create_link_token(&self.customer).await?;
        let choice = CompleteLink::default();
        let completed = self
            .stage
            .sandbox
            .complete_link(&link.link_token, &choice)?;
        // Every third customer closes the browser too early: the webhook alone must do. It must as well when
        // the service lost what a public token gave, which is good for one exchange only.
        if self.number % 3 != 2
            && let Err(error) = self
                .product
                .exchange_public_token(&self.customer, &completed.public_token)
                .await
        {
            tracing::warn!(%error, customer = self.customer.name, "not exchanged; waiting for the webhook");
        }
        Ok(link.linked_account_id)
    }
}

/// The summary is for programs, so it alone goes to stdout.
fn print_json(summary: &Summary) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, summary)?;
    writeln!(stdout).context("cannot write the summary")
}
