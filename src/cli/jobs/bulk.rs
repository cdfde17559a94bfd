//! One action on all jobs of a filter: counted, confirmed, done by a job, followed, stopped.

use clap::Subcommand;
use queue::admin::bulk_actions::{BulkAction, BulkId};
use queue::admin::{self, Action};
use serde_json::{Value, json};

use super::{filter, table, time};
use crate::cli::answer::{Answer, Form, Look};
use crate::cli::desk::{Desk, Sure, ask};
use crate::cli::exit::Refused;
use crate::cli::table::{Cell, Facts, Table, section, state};
use crate::ops::Deed;
use crate::ops::bulk::{TYPED_ABOVE, deed_of, sentence, shown};
use crate::ops::words::{ago, grouped, plural};

/// Jobs shown before somebody confirms.
const SAMPLE: u16 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all ended jobs of a filter again.
    Retry(New),
    /// Let all waiting jobs of a filter start at once.
    RetryNow(New),
    /// Cancel all jobs of a filter.
    Cancel(New),
    /// Delete all jobs of a filter for good.
    Delete(New),
    /// List the actions that were confirmed, newest first.
    List {
        /// How many, at most.
        #[arg(long, default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        look: Look,
    },
    /// Show how far an action is.
    Show {
        /// Its id.
        id: BulkId,
        #[command(flatten)]
        look: Look,
    },
    /// End a running action after its batch. What was done stays done.
    Stop {
        /// Its id.
        id: BulkId,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    #[command(flatten)]
    filter: filter::Filter,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
    /// Only count the jobs, and show the newest.
    #[arg(long)]
    dry_run: bool,
    /// The exact number of jobs, to confirm that it is meant; over 1,000 jobs nothing else does.
    #[arg(long, value_name = "N")]
    count: Option<i64>,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(args: Args, desk: &Desk) -> anyhow::Result<()> {
    match args.command {
        Command::Retry(new) => new.run(desk, Action::Retry).await,
        Command::RetryNow(new) => new.run(desk, Action::RetryNow).await,
        Command::Cancel(new) => new.run(desk, Action::Cancel).await,
        Command::Delete(new) => new.run(desk, Action::Delete).await,
        Command::List { limit, look } => look.show(async || list(desk, limit).await).await,
        Command::Show { id, look } => {
            let show = async || {
                let bulk = desk.ops.bulk(id).await?;
                let (json, now) = (as_json(&bulk), desk.now().await?);
                let text = format!("{}\n\n{}", sentence(&bulk, now), facts(&bulk, now).shown());
                Answer::new(text, &json)
            };
            look.show(show).await
        }
        Command::Stop { id, form } => {
            desk.ops.stop_bulk(id).await?;
            form.print(&Answer::done(Deed::BulkStop, id, json!({})))
        }
    }
}

impl New {
    async fn run(&self, desk: &Desk, action: Action) -> anyhow::Result<()> {
        let filter = self.filter.as_queued();
        let id = desk.ops.prepare_bulk(filter, action, &self.reason).await?;
        let prepared = desk.ops.bulk(id).await?;
        if self.dry_run {
            return self.form.print(&sample(desk, &prepared).await?);
        }
        let typed = self.confirmed(action, prepared.jobs)?;
        desk.ops.start_bulk(id, typed).await?;
        let jobs = plural(prepared.jobs.unsigned_abs(), "job");
        let answer = Answer::done(deed_of(action), id, json!({ "jobs": prepared.jobs }));
        let follow = format!("It has begun, with {jobs}. Follow it: syncline jobs bulk show {id}");
        self.form.print(&answer.saying(&follow))
    }

    /// The count that somebody gave, or their word that it is meant.
    fn confirmed(&self, action: Action, jobs: i64) -> anyhow::Result<Option<i64>> {
        let (name, shown) = (action.as_str(), plural(jobs.unsigned_abs(), "job"));
        match self.count {
            Some(count) if count == jobs => return Ok(Some(count)),
            Some(count) => {
                let fault = format!("this touches {jobs} jobs, not {count}; nothing was done");
                return Err(Refused(fault).into());
            }
            None if jobs <= TYPED_ABOVE => {
                self.sure.ask(&format!("To {name} {shown}: is it meant?"))?;
                return Ok(None);
            }
            None => {}
        }
        let question = format!("To {name} {shown}: type their number to confirm:");
        let typed = ask(&question)?.map(|typed| typed.replace([',', ' '], ""));
        match typed.and_then(|typed| typed.parse().ok()) {
            Some(typed) if typed == jobs => Ok(Some(typed)),
            _ => {
                let advice = format!("this touches {jobs} jobs: say --count {jobs} if it is meant");
                Err(Refused(advice).into())
            }
        }
    }
}

/// What would be touched.
async fn sample(desk: &Desk, prepared: &BulkAction) -> anyhow::Result<Answer> {
    let mut filter = prepared.bulk.filter().clone();
    let bound = prepared.bulk.bound_to();
    filter.created.before = Some(
        filter
            .created
            .before
            .map_or(bound, |before| before.min(bound)),
    );
    let newest = admin::list(&desk.queue, &filter, None, SAMPLE).await?.jobs;
    let now = desk.now().await?;
    let text = format!(
        "{}\n{}",
        sentence(prepared, now),
        section("the newest", &table(&newest, now).shown())
    );
    let mut json = as_json(prepared);
    json["sample"] = serde_json::to_value(&newest)?;
    Answer::new(text, &json)
}

fn as_json(bulk: &BulkAction) -> Value {
    json!({
        "id": bulk.id,
        "action": bulk.bulk.action(),
        "filter": shown(bulk.bulk.filter()),
        "by": bulk.bulk.request().by,
        "reason": bulk.bulk.request().reason,
        "bound_to": bulk.bulk.bound_to(),
        "state": bulk.state,
        "jobs": bulk.jobs,
        "done": bulk.progress.done,
        "skipped": bulk.progress.skipped,
        "prepared_at": bulk.prepared_at,
        "started_at": bulk.started_at,
        "ended_at": bulk.ended_at,
        "job_id": bulk.job_id,
        "stopped_by": bulk.stopped_by,
    })
}

async fn list(desk: &Desk, limit: u16) -> anyhow::Result<Answer> {
    let (bulks, now) = (desk.ops.bulks(limit).await?, desk.now().await?);
    let mut table = Table::new(&[
        "id", "action", "state", "jobs", "done", "started", "by", "reason",
    ]);
    for bulk in &bulks {
        table.row([
            Cell::from(bulk.id),
            Cell::from(bulk.bulk.action().as_str()),
            state(bulk.state.as_str()),
            Cell::from(grouped(bulk.jobs.unsigned_abs())),
            Cell::from(grouped(bulk.progress.done)),
            Cell::from(
                bulk.started_at
                    .map(|at| ago(at, now).to_string())
                    .unwrap_or_default(),
            ),
            Cell::from(&bulk.bulk.request().by),
            Cell::from(&bulk.bulk.request().reason),
        ]);
    }
    let json: Vec<Value> = bulks.iter().map(as_json).collect();
    Answer::new(table.shown(), &json)
}

fn facts(bulk: &BulkAction, now: chrono::DateTime<chrono::Utc>) -> Facts {
    let mut facts = Facts::default();
    facts.add("id", bulk.id);
    facts.add("action", bulk.bulk.action().as_str());
    facts.add("state", bulk.state.as_str());
    facts.add("jobs", grouped(bulk.jobs.unsigned_abs()));
    facts.add("done", grouped(bulk.progress.done));
    facts.add("left as they were", grouped(bulk.progress.skipped));
    facts.add("filter", shown(bulk.bulk.filter()));
    facts.add("counted", time(bulk.bulk.bound_to(), now));
    facts.maybe("started", bulk.started_at.map(|at| time(at, now)));
    facts.maybe("ended", bulk.ended_at.map(|at| time(at, now)));
    facts.add("by", &bulk.bulk.request().by);
    facts.add("reason", &bulk.bulk.request().reason);
    facts.maybe("job", bulk.job_id);
    facts
}
