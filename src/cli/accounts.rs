use clap::Subcommand;
use jobs::resync::SyncType;
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, AccountFilter, AccountStatus, LinkedAccount};

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, Sure, ask};
use super::exit::Refused;
use super::table::{Cell, Table, maybe, more, state};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::words::ago;

mod show;
mod verify;

/// Accounts read in one query.
const PAGE: u16 = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List linked accounts.
    List(List),
    /// Show one account: how it is, and the proof of each model that nothing was left out. To pause it: `queues pause
    /// --account`.
    Show(show::Show),
    /// Prove that nothing was left out: do the windows that were read of each model join?
    ///
    /// Fails if a gap is found. `resync-full` reads everything anew, which mends it.
    Verify(verify::Verify),
    /// Ask Merge now how far an account is.
    Poll {
        /// Our id of it.
        id: AccountId,
        #[command(flatten)]
        form: Form,
    },
    /// Read again what changed lately.
    ResyncIncremental {
        /// Our id of it.
        id: AccountId,
        /// Only this model, such as hris.Employee.
        #[arg(long)]
        model: Option<String>,
        /// Why, for the audit log.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Read everything again. Merge reads the third party anew, too, and may charge for it.
    ResyncFull {
        /// Our id of it.
        id: AccountId,
        /// Only this model, such as hris.Employee.
        #[arg(long)]
        model: Option<String>,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        form: Form,
    },
    /// Delete an account: at Merge, and here with all its records, for good.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only this organization's.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only those of this category, such as hris.
    #[arg(long)]
    category: Option<String>,
    /// Only those in this status.
    #[arg(long, value_parser = status)]
    status: Option<AccountStatus>,
    /// Only those behind this one: the last id of the page before.
    #[arg(long, value_name = "ID")]
    after: Option<AccountId>,
    /// How many, at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=PAGE.into()))]
    limit: u16,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// Our id of it.
    id: AccountId,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
    /// The customer's name, as `accounts show` has it, to confirm that it is meant.
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// A status by its name.
fn status(name: &str) -> Result<AccountStatus, String> {
    AccountStatus::parse(name).ok_or_else(|| {
        let names = AccountStatus::ALL.map(AccountStatus::as_str).join(", ");
        format!("expected one of {names}")
    })
}

/// Runs one of the verbs on accounts. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    match args.command {
        Command::List(list) => list.look.show(async || list.answer(&desk).await).await,
        Command::Show(show) => show.run(&desk).await,
        Command::Verify(verify) => verify.run(&desk).await,
        Command::Poll { id, form } => {
            let job = desk.ops.poll_account(id).await?;
            form.print(&Answer::done(
                Deed::AccountPoll,
                id,
                json!({ "job_id": job }),
            ))
        }
        Command::ResyncIncremental {
            id,
            model,
            reason,
            form,
        } => {
            let (ops, kind) = (&desk.ops, SyncType::Incremental);
            let job = ops
                .resync_account(id, kind, model, reason.as_deref())
                .await?;
            form.print(&Answer::done(
                Deed::AccountSweep,
                id,
                json!({ "job_id": job }),
            ))
        }
        Command::ResyncFull {
            id,
            model,
            reason,
            sure,
            form,
        } => {
            sure.ask("Read everything again? Merge may charge for it.")?;
            let (ops, kind) = (&desk.ops, SyncType::Full);
            let job = ops.resync_account(id, kind, model, Some(&reason)).await?;
            form.print(&Answer::done(
                Deed::AccountResync,
                id,
                json!({ "job_id": job }),
            ))
        }
        Command::Delete(delete) => delete.run(&desk).await,
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> anyhow::Result<()> {
        let typed = match &self.customer {
            Some(name) => Some(name.clone()),
            None => ask(
                "This deletes the account and all its records. Type the customer's name to confirm:",
            )?,
        };
        let advice = "this deletes the account and all its records for good: say --customer NAME if it is meant";
        let typed = typed.ok_or_else(|| Refused(advice.to_owned()))?;
        let job = desk
            .ops
            .delete_account(self.id, &typed, &self.reason)
            .await?;
        let more = json!({ "job_id": job });
        self.form
            .print(&Answer::done(Deed::AccountDelete, self.id, more))
    }
}

impl List {
    async fn answer(&self, desk: &Desk) -> anyhow::Result<Answer> {
        let filter = AccountFilter {
            organization_id: self.organization.as_deref(),
            category: self.category.as_deref(),
            status: self.status,
            after: self.after,
        };
        let mut conn = desk.pool.acquire().await?;
        let accounts = linked_accounts::list(&mut conn, &filter, self.limit).await?;
        drop(conn);
        let now = desk.now().await?;
        let is_full = accounts.len() == usize::from(self.limit);
        let last = accounts.last().filter(|_| is_full);
        let text = table(&accounts, now).shown() + &more(last.map(|last| last.id));
        Answer::new(text, &accounts)
    }
}

fn table(accounts: &[LinkedAccount], now: chrono::DateTime<chrono::Utc>) -> Table {
    let names = [
        "id",
        "status",
        "customer",
        "organization",
        "category",
        "integration",
        "polled",
        "next poll",
        "error",
    ];
    let mut table = Table::new(&names);
    for account in accounts {
        table.row([
            Cell::from(account.id),
            state(account.status.as_str()),
            Cell::from(&account.end_user_organization_name),
            Cell::from(&account.organization_id),
            Cell::from(&account.category),
            maybe(account.integration_name.as_ref()),
            maybe(account.last_polled_at.map(|at| ago(at, now))),
            maybe(account.next_poll_at.map(|at| ago(at, now))),
            Cell::from(account.last_error.as_deref().unwrap_or_default()),
        ]);
    }
    table
}
