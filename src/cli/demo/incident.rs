//! `--incident`: three things break on purpose, for somebody to find with the console alone.
//!
//! | what | how it is broken | where it shows |
//! |---|---|---|
//! | a revoked key | the sandbox answers 401 to every request with one account's token | the account is to be linked again |
//! | a poison account | what the sandbox answers for three models of another stops in the middle | its jobs die |
//! | a stuck worker | a second worker's process is stopped, as it runs a job of a third | it is lost, its lanes taken over |
//!
//! Nothing is made up: each is what the service makes of it. Only time is pressed: what waits to be tried again is let run
//! at once, as "Run now" does, so that jobs die in seconds instead of an hour and a half.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobs::poll_sync_status::PollSyncStatus;
use merge_client::catalogue;
use merge_sandbox::{Fault, FaultKind, Running};
use queue::admin::{self, Filter};
use queue::workers::{self, Ask};
use queue::{Job, JobState, Lane, NewJob, WorkerId};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use store::linked_accounts::{self, AccountFilter, AccountStatus};
use store::{AccountId, model_syncs};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::machine::Machine;
use super::product::Customer;
use super::progress::{REFRESH, print};

mod frozen;
use frozen::Frozen;

/// Accounts that it needs, each for one trouble.
pub(super) const ACCOUNTS: u32 = 3;
/// Models of the poison account whose answers are broken.
const POISONED: usize = 3;
/// A worker heeds what it is asked within two seconds.
const HEEDED: Duration = Duration::from_secs(3);
/// How long the stuck job's request lasts, at most.
const SLOW: Duration = Duration::from_secs(50);
/// Longest wait for anything that was broken to show.
const PATIENCE: Duration = Duration::from_mins(3);

/// What was broken; until it is dropped.
pub(super) struct Incident {
    /// The customers whose accounts they are.
    customers: [Customer; 3],
    _stuck: Frozen,
}

/// An account, with what is needed to break it at the sandbox.
struct Victim {
    id: AccountId,
    category: String,
    merge_id: Uuid,
    token: SecretString,
}

impl Incident {
    /// Breaks everything, and waits until it shows.
    pub(super) async fn cause(machine: &Machine, sandbox: &Running) -> Result<Self> {
        let customers = [0, 1, 2].map(Customer::numbered);
        let [revoked, poison, stuck] = &customers;
        let stage = Stage { machine, sandbox };
        print("\nbreaking three things; this takes a minute …");
        let stuck = stage.freeze_a_worker(&stage.victim(stuck).await?).await?;
        stage.revoke(&stage.victim(revoked).await?).await?;
        stage.poison(&stage.victim(poison).await?).await?;
        stage.await_loss(stuck.worker).await?;
        Ok(Self {
            customers,
            _stuck: stuck,
        })
    }

    /// Says where to look, and what there is to be found.
    pub(super) fn tell(&self, machine: &Machine, api_key: &str) {
        let api = machine.api.as_str().trim_end_matches('/');
        let [revoked, poison, stuck] = &self.customers;
        print(&format!(
            "\nthree things are broken. Find them with the console alone; docs/operating.md, \"A bad night\", shows how.\n\n  \
             console  {api}/console/   log in with the API key {api_key}\n\n  \
             1. Merge refuses the key of one customer's account: {}.\n  \
             2. What Merge answers for another's account cannot be read, so that its jobs die: {}.\n  \
             3. A worker's process stands still. Others took over what it held, with the account of {}.\n",
            revoked.name, poison.name, stuck.name,
        ));
    }
}

struct Stage<'a> {
    machine: &'a Machine,
    sandbox: &'a Running,
}

impl Stage<'_> {
    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        self.machine
            .pool
            .acquire()
            .await
            .context("cannot reach the database")
    }

    async fn victim(&self, customer: &Customer) -> Result<Victim> {
        let mut conn = self.connection().await?;
        let filter = AccountFilter {
            organization_id: Some(&customer.organization_id),
            ..AccountFilter::default()
        };
        let account = linked_accounts::list(&mut conn, &filter, 1).await?.pop();
        let account = account.context("a customer has no account")?;
        let access = linked_accounts::access(&mut conn, &self.machine.app.keyring, account.id);
        let token = access.await?.and_then(|access| access.token);
        let merge_id = account.merge_account_id.as_deref().map(Uuid::parse_str);
        Ok(Victim {
            id: account.id,
            category: account.category,
            merge_id: merge_id.context("an account is not linked")??,
            token: token.context("an account has no token")?,
        })
    }

    fn fault(&self, victim: &Victim, path_prefix: String, times: u32, kind: FaultKind) {
        self.sandbox.add_fault(Fault {
            path_prefix,
            account_token: Some(victim.token.expose_secret().to_owned()),
            times,
            kind,
        });
    }

    /// Has Merge asked how far an account is.
    async fn poll(&self, victim: &Victim) -> Result<()> {
        let job = NewJob::new(&PollSyncStatus {
            account_id: victim.id,
        })?;
        queue::enqueue(&mut *self.connection().await?, &job).await?;
        self.machine.app.queue.wake();
        Ok(())
    }

    async fn revoke(&self, victim: &Victim) -> Result<()> {
        let refused = FaultKind::Status {
            status: 401,
            retry_after: None,
        };
        self.fault(victim, "/".to_owned(), u32::MAX, refused);
        // After a few refusals in a row it is for the customer to link it again.
        until("the account is given up", async || {
            self.poll(victim).await?;
            let mut conn = self.connection().await?;
            let account = linked_accounts::find(&mut conn, victim.id, None).await?;
            Ok(account.is_some_and(|account| account.status == AccountStatus::RelinkNeeded))
        })
        .await
    }

    async fn poison(&self, victim: &Victim) -> Result<()> {
        let models = model_syncs::list(&mut *self.connection().await?, victim.id).await?;
        let broken = models
            .iter()
            .filter(|model| model.fetched_through.is_some())
            .filter_map(|model| catalogue::find(&model.model_id))
            .take(POISONED);
        for model in broken {
            let path = format!("/api/{}/v1/{}", victim.category, model.path);
            self.fault(victim, path, u32::MAX, FaultKind::TruncatedJson);
        }
        let mut has_begun = false;
        until("jobs die", async || {
            // Not while another sync runs.
            has_begun = has_begun || self.sandbox.start_sync(victim.merge_id)?;
            self.press_time(victim).await?;
            let dead = self.jobs_of(victim, vec![JobState::Dead]).await?;
            Ok(dead.len() >= POISONED)
        })
        .await
    }

    async fn jobs_of(&self, victim: &Victim, states: Vec<JobState>) -> Result<Vec<queue::JobId>> {
        let filter = Filter {
            states,
            lane: Some(Lane::account(victim.id.0).as_str().to_owned()),
            ..Filter::default()
        };
        let page = admin::list(&self.machine.app.queue, &filter, None, 100).await?;
        Ok(page.jobs.into_iter().map(|job| job.id).collect())
    }

    /// Lets run at once what waits to be tried again.
    async fn press_time(&self, victim: &Victim) -> Result<()> {
        for id in self.jobs_of(victim, vec![JobState::Retryable]).await? {
            run_now(&mut *self.connection().await?, id).await?;
        }
        self.machine.app.queue.wake();
        Ok(())
    }

    /// A second worker takes a job, and its process is stopped in the middle of it.
    async fn freeze_a_worker(&self, victim: &Victim) -> Result<Frozen> {
        let queue = &self.machine.app.queue;
        let ours = self.workers_at_work().await?;
        let child = frozen::start(&self.machine.child)?;
        let mut second = None;
        until("the second worker works", async || {
            let workers = self.workers_at_work().await?;
            second = workers.into_iter().find(|id| !ours.contains(id));
            Ok(second.is_some())
        })
        .await?;
        let worker = second.context("there is no second worker")?;
        for id in &ours {
            workers::ask(queue, *id, Ask::Quiet).await?;
        }
        sleep(HEEDED).await;
        let path = format!("/api/{}/v1/sync-status", victim.category);
        self.fault(victim, path, 1, FaultKind::Slow { delay: SLOW });
        self.poll(victim).await?;
        let filter = Filter {
            states: vec![JobState::Running],
            worker: Some(worker),
            kinds: vec![PollSyncStatus::KIND.to_owned()],
            lane: Some(Lane::account(victim.id.0).as_str().to_owned()),
            ..Filter::default()
        };
        until("the second worker has a job in hand", async || {
            Ok(!admin::list(queue, &filter, None, 1).await?.jobs.is_empty())
        })
        .await?;
        let frozen = Frozen::stop(child, worker)?;
        for id in &ours {
            workers::ask(queue, *id, Ask::Work).await?;
        }
        Ok(frozen)
    }

    async fn workers_at_work(&self) -> Result<Vec<WorkerId>> {
        let workers = workers::list(&self.machine.pool, 100).await?;
        let at_work = workers.iter().filter(|worker| worker.state == "running");
        Ok(at_work.map(|worker| worker.id).collect())
    }

    async fn await_loss(&self, worker: WorkerId) -> Result<()> {
        until("the stuck worker is given up", async || {
            Ok(!self.workers_at_work().await?.contains(&worker))
        })
        .await
    }
}

async fn run_now(conn: &mut PgConnection, id: queue::JobId) -> Result<()> {
    match admin::retry_now(conn, id).await {
        // It was faster.
        Ok(()) | Err(queue::Error::Refused { .. } | queue::Error::NoSuchJob { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until something shows.
async fn until(what: &str, mut shows: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !shows().await? {
        ensure!(
            began.elapsed() < PATIENCE,
            "waited for too long until {what}"
        );
        sleep(REFRESH).await;
    }
    Ok(())
}
