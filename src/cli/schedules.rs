use chrono::TimeDelta;
use clap::Subcommand;
use queue::schedule::{self, ScheduleView};
use serde_json::json;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, span};
use super::exit::Missing;
use super::table::{Cell, Facts, Table, maybe, state};
use crate::config::Config;
use crate::ops::Deed;
use crate::ops::schedules::{missed, state as state_of};
use crate::ops::words::{ago, stamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what runs by the clock, in plain words, and when last and next.
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show one schedule, and its next five runs.
    Show {
        /// Its name, as `schedules list` shows it.
        name: String,
        #[command(flatten)]
        look: Look,
    },
    /// Run a schedule's job now, beside its regular runs.
    Run(Why),
    /// Pause a schedule. What is due meanwhile is not made up for.
    Pause {
        #[command(flatten)]
        why: Why,
        /// For how long, such as 30m; without it, until somebody resumes it.
        #[arg(long = "for", value_parser = span, value_name = "TIME")]
        span: Option<TimeDelta>,
    },
    /// End its pause.
    Resume(One),
    /// Put another expression or time zone in the place of what the code says; holds over restarts.
    Edit {
        #[command(flatten)]
        why: Why,
        /// `minute hour day month weekday`, or six fields with seconds first.
        #[arg(long, required_unless_present = "time_zone")]
        cron: Option<String>,
        /// IANA name, such as Europe/Berlin.
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
    },
    /// Take every edit back: what the code says holds again.
    Reset(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its name, as `schedules list` shows it.
    name: String,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
struct Why {
    #[command(flatten)]
    one: One,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
}

/// Runs one of the verbs on schedules.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let ops = &desk.ops;
    let (one, deed, more) = match args.command {
        Command::List { look } => return look.show(async || list(&desk).await).await,
        Command::Show { name, look } => {
            return look.show(async || show(&desk, &name).await).await;
        }
        Command::Run(Why { one, reason }) => {
            let job = ops.run_schedule(&one.name, &reason).await?;
            (one, Deed::ScheduleRun, json!({ "job_id": job }))
        }
        Command::Pause { why, span } => {
            let until = desk.after(span).await?;
            ops.pause_schedule(&why.one.name, &why.reason, until)
                .await?;
            (why.one, Deed::SchedulePause, json!({ "until": until }))
        }
        Command::Resume(one) => {
            ops.resume_schedule(&one.name).await?;
            (one, Deed::ScheduleResume, json!({}))
        }
        Command::Edit {
            why: Why { one, reason },
            cron,
            time_zone,
        } => {
            ops.edit_schedule(&one.name, cron, time_zone, &reason)
                .await?;
            (one, Deed::ScheduleEdit, json!({}))
        }
        Command::Reset(one) => {
            ops.reset_schedule(&one.name).await?;
            (one, Deed::ScheduleReset, json!({}))
        }
    };
    one.form.print(&Answer::done(deed, &one.name, more))
}

async fn list(desk: &Desk) -> anyhow::Result<Answer> {
    let (schedules, now) = (schedule::list(&desk.pool).await?, desk.now().await?);
    let mut table = Table::new(&["name", "state", "last", "next", "when", "zone", "cron"]);
    for view in &schedules {
        table.row([
            Cell::from(&view.name),
            state(state_of(view)),
            maybe(view.last_run_at.map(|at| ago(at, now))),
            maybe(view.next_runs.first().map(|at| ago(*at, now))),
            Cell::from(view.problem.as_ref().unwrap_or(&view.words)),
            Cell::from(&view.timing.time_zone),
            Cell::from(&view.timing.cron),
        ]);
    }
    Answer::new(table.shown(), &schedules)
}

async fn show(desk: &Desk, name: &str) -> anyhow::Result<Answer> {
    let all = schedule::list(&desk.pool).await?;
    let found = all.into_iter().find(|view| view.name == name);
    let view = found.ok_or_else(|| Missing(format!("schedule `{name}`")))?;
    Answer::new(facts(&view).shown(), &view)
}

fn facts(view: &ScheduleView) -> Facts {
    let mut facts = Facts::default();
    facts.add("name", &view.name);
    facts.add("state", state_of(view));
    facts.add("when", &view.words);
    facts.maybe("fault", view.problem.as_ref());
    facts.add(
        "cron",
        format!("{} ({})", view.timing.cron, view.timing.time_zone),
    );
    facts.maybe("clock", view.clock_change.as_ref());
    facts.add("missed runs", missed(view.timing.missed));
    if view.timing != view.declared {
        let declared = &view.declared;
        facts.add(
            "in the code",
            format!("{} ({})", declared.cron, declared.time_zone),
        );
    }
    facts.maybe(
        "edited",
        view.overridden
            .as_ref()
            .map(|edit| format!("by {} at {}: {}", edit.by, stamp(edit.at), edit.reason)),
    );
    facts.maybe(
        "paused",
        view.paused.as_ref().map(|pause| {
            let until = pause
                .until
                .map_or_else(String::new, |until| format!(", until {}", stamp(until)));
            format!(
                "by {} at {}{until}: {}",
                pause.by,
                stamp(pause.at),
                pause.reason
            )
        }),
    );
    facts.maybe("last run", view.last_run_at.map(stamp));
    facts.maybe("its job", view.last_job_id);
    for run in &view.next_runs {
        facts.add("next run", stamp(*run));
    }
    facts
}
