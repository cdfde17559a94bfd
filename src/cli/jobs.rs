use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use queue::JobId;
use queue::admin::{self, Cancelled, Edit, JobSummary, Page};
use serde_json::json;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, Sure, span};
use super::table::{Cell, Table, more, state};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::jobs::what_when;
use crate::ops::words::{ago, stamp};

mod bulk;
mod filter;
mod show;

pub(super) use filter::queues;

/// Jobs read in one query.
const PAGE: u16 = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first. All filters combine.
    List(List),
    /// Show one job: why it does not run, each attempt, what enqueued it and what it enqueued.
    Show(show::Show),
    /// Run an ended job again, with a fresh set of attempts.
    Retry(One),
    /// Let a waiting job start at once, as far as its lane allows.
    RetryNow(One),
    /// Put a waiting job off; no attempt is used.
    Snooze {
        #[command(flatten)]
        one: One,
        /// For how long, such as 30m.
        #[arg(long = "for", value_parser = span, value_name = "TIME")]
        span: TimeDelta,
    },
    /// Change the earliest start and the priority of a waiting job.
    Edit {
        #[command(flatten)]
        one: One,
        /// Earliest start, such as 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        run_at: Option<DateTime<Utc>>,
        /// Lower runs first within its lane.
        #[arg(long, allow_negative_numbers = true)]
        priority: Option<i16>,
    },
    /// End a waiting job; ask the worker of a running one to stop it.
    Cancel(Grave),
    /// Remove a dead or waiting job for good.
    Delete(Grave),
    /// Do something with all jobs of a filter, and see how far that is.
    Bulk(bulk::Args),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    filter: filter::Filter,
    /// Only those behind this one: the `next` of the page before.
    #[arg(long, value_name = "ID")]
    after: Option<JobId>,
    /// How many, at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id.
    id: JobId,
    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
struct Grave {
    /// Its id.
    id: JobId,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    form: Form,
}

/// Runs one of the verbs on jobs.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let ops = &desk.ops;
    match args.command {
        Command::List(list) => list.look.show(async || list.answer(&desk).await).await,
        Command::Show(show) => show.run(&desk).await,
        Command::Retry(One { id, reason, form }) => {
            let lives_as = ops.retry_job(id, reason.as_deref()).await?;
            let answer = Answer::done(Deed::JobRetry, id, json!({ "job_id": lives_as }));
            form.print(&if lives_as == id {
                answer
            } else {
                answer.saying(&format!("The new job {lives_as} does it again."))
            })
        }
        Command::RetryNow(One { id, reason, form }) => {
            ops.retry_job_now(id, reason.as_deref()).await?;
            form.print(&Answer::done(Deed::JobRetryNow, id, json!({})))
        }
        Command::Snooze { one, span } => {
            let until = desk.now().await? + span;
            ops.snooze_job(one.id, until, one.reason.as_deref()).await?;
            let answer = Answer::done(Deed::JobSnooze, one.id, json!({ "run_at": until }));
            one.form.print(&answer)
        }
        Command::Edit {
            one,
            run_at,
            priority,
        } => {
            let edit = Edit { run_at, priority };
            ops.edit_job(one.id, edit, one.reason.as_deref()).await?;
            one.form
                .print(&Answer::done(Deed::JobEdit, one.id, json!({})))
        }
        Command::Cancel(grave) => grave.cancel(&desk).await,
        Command::Delete(grave) => {
            grave
                .sure
                .ask(&format!("Delete job {} for good?", grave.id))?;
            ops.delete_job(grave.id, &grave.reason).await?;
            grave
                .form
                .print(&Answer::done(Deed::JobDelete, grave.id, json!({})))
        }
        Command::Bulk(args) => bulk::run(args, &desk).await,
    }
}

impl Grave {
    async fn cancel(&self, desk: &Desk) -> anyhow::Result<()> {
        self.sure.ask(&format!("Cancel job {}?", self.id))?;
        let cancelled = desk.ops.cancel_job(self.id, &self.reason).await?;
        let answer = Answer::done(Deed::JobCancel, self.id, json!({ "cancelled": cancelled }));
        self.form.print(&match cancelled {
            Cancelled::Ended => answer,
            Cancelled::Requested => answer.saying("Its worker was asked to stop it."),
        })
    }
}

impl List {
    async fn answer(&self, desk: &Desk) -> anyhow::Result<Answer> {
        let page = self.page(desk).await?;
        let text = table(&page.jobs, desk.now().await?).shown() + &more(page.next);
        Answer::new(text, &page)
    }

    /// A page of the queue's may be short without being the last.
    async fn page(&self, desk: &Desk) -> anyhow::Result<Page> {
        let filter = self.filter.as_queued();
        let mut page = Page {
            jobs: Vec::new(),
            next: self.after,
        };
        loop {
            let missing = usize::from(self.limit) - page.jobs.len();
            let wanted = u16::try_from(missing).unwrap_or(PAGE).min(PAGE);
            let more = admin::list(&desk.queue, &filter, page.next, wanted).await?;
            page.jobs.extend(more.jobs);
            page.next = more.next;
            if page.next.is_none() || page.jobs.len() == usize::from(self.limit) {
                return Ok(page);
            }
        }
    }
}

/// Jobs, a line each.
pub(super) fn table(jobs: &[JobSummary], now: DateTime<Utc>) -> Table {
    let mut table = Table::new(&["id", "state", "kind", "when", "attempts", "lane", "error"]);
    for job in jobs {
        let (what, at) = what_when(job);
        let error = [job.error_class.as_deref(), job.last_error.as_deref()];
        let error: Vec<&str> = error.into_iter().flatten().collect();
        table.row([
            Cell::from(job.id),
            state(job.state.as_str()),
            Cell::from(&job.kind),
            Cell::from(format!("{what} {}", ago(at, now))),
            Cell::from(format!("{}/{}", job.attempt, job.max_attempts)),
            Cell::from(&job.lane),
            Cell::from(error.join(": ")),
        ]);
    }
    table
}

/// A time, and how long ago that is.
pub(super) fn time(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} UTC ({})", stamp(at), ago(at, now))
}
