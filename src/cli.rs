//! The commands of the binary, and how a failure ends the process.

mod accounts;
mod answer;
mod audit;
mod dead;
pub mod demo;
mod desk;
mod doctor;
mod endpoints;
mod exit;
mod jobs;
mod keys;
mod lanes;
mod manual;
mod migrate;
mod queues;
mod sandbox;
mod schedules;
mod search;
mod serve;
mod status;
mod stop;
mod table;
mod top;
mod users;
mod webhooks;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use self::exit::Unavailable;
use crate::config::{Config, Need, Sources};
use crate::ops::Deed;
use crate::telemetry;

/// Keeps a product's database in step with its customers' systems, through a durable queue.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Settings that differ from the defaults (TOML); the environment wins over them.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at linked accounts, have them read, and prove that nothing was left out.
    Accounts(accounts::Args),
    /// Look at what people changed, and prove that nobody changed that.
    Audit(audit::Args),
    /// Write a script that has a shell complete commands and flags, such as `syncline completions bash >
    /// /etc/bash_completion.d/syncline`.
    Completions(manual::CompletionsArgs),
    /// Look at what jobs died of, by cause.
    Dead(dead::Args),
    /// Run everything on this machine, with customers of its own, and show what happens.
    Demo(demo::Args),
    /// Look at settings, database, secrets and Merge, and say what to do about what is not right.
    Doctor(doctor::Args),
    /// Say where events are sent to, and see how that goes.
    Endpoints(endpoints::Args),
    /// Look for jobs, and run, put off, cancel or delete them: one, or all of a filter.
    Jobs(jobs::Args),
    /// Make, list and revoke the keys that the product calls the API with.
    Keys(keys::Args),
    /// Look at the lanes that are worked, that wait, and that rest.
    Lanes(lanes::Args),
    /// Write a page for `man`, such as `syncline man jobs | man -l -`; or with --into the pages of all commands.
    Man(manual::ManArgs),
    /// Bring the database to the shape that this version needs.
    Migrate,
    /// Look at what waits, and pause and resume it.
    Queues(queues::Args),
    /// Run the simulated Merge alone.
    Sandbox(sandbox::Args),
    /// Look at what runs by the clock; run it now, pause it, change it.
    Schedules(schedules::Args),
    /// Say what an id is of.
    Search(search::Args),
    /// Run the service.
    Serve(serve::Args),
    /// Say whether all is well, and if not, what is wrong; then the exit code is 1.
    Status(status::Args),
    /// Show the service live: queues, workers, lanes, dead jobs.
    Top(top::Args),
    /// Say who may use the console.
    Users(users::Args),
    /// Look at received webhooks, and have them acted on once more.
    Webhooks(webhooks::Args),
    /// Look at the processes that run jobs, and stop them.
    Workers(workers::Args),
}

/// The whole command line.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The words after `syncline` that do a deed. Sessions are the browser's own: there is nothing to log in to here.
pub fn words_of(deed: Deed) -> Option<Vec<String>> {
    match deed.noun().as_str() {
        "sessions" => None,
        "bulk" => Some(vec!["jobs".to_owned(), "bulk".to_owned(), deed.verb()]),
        noun => Some(vec![noun.to_owned(), deed.verb()]),
    }
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// Exit codes: 0 done; 1 a look found something wrong (`status`, `doctor`); 2 the command line is wrong; 65 refused, nothing was
    /// changed; 66 there is no such thing; 69 something needed is unavailable, such as the database; 78 a setting is
    /// wrong; 70 any other failure. A failure is one line on stderr.
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return exit::failure(&anyhow::Error::new(error).context("cannot start")),
        };
        match runtime.block_on(self.dispatch()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit::failure(&error),
        }
    }

    async fn dispatch(self) -> anyhow::Result<()> {
        let sources = Sources::of_process(self.config);
        let config = || load(&sources, Need::Database);
        match self.command {
            Command::Accounts(args) => accounts::run(args, &config()?).await,
            Command::Audit(args) => audit::run(args, &config()?).await,
            Command::Completions(args) => manual::completions(&args),
            Command::Dead(args) => dead::run(args, &config()?).await,
            Command::Demo(args) => demo::run(args, sources).await,
            Command::Doctor(args) => doctor::run(args, &sources).await,
            Command::Endpoints(args) => endpoints::run(args, &config()?).await,
            Command::Jobs(args) => jobs::run(args, &config()?).await,
            Command::Keys(args) => keys::run(args, &config()?).await,
            Command::Lanes(args) => lanes::run(args, &config()?).await,
            Command::Man(args) => manual::man(&args),
            Command::Migrate => migrate::run(&config()?).await,
            Command::Queues(args) => queues::run(args, &config()?).await,
            Command::Sandbox(args) => sandbox::run(args).await,
            Command::Schedules(args) => schedules::run(args, &config()?).await,
            Command::Search(args) => search::run(args, &config()?).await,
            Command::Serve(args) => {
                let sources = args.settings(sources);
                serve::run(&args, load(&sources, Need::Service)?, sources).await
            }
            Command::Status(args) => status::run(args, &config()?).await,
            Command::Top(args) => top::run(args, &config()?).await,
            Command::Users(args) => users::run(args, &config()?).await,
            Command::Webhooks(args) => webhooks::run(args, &sources).await,
            Command::Workers(args) => workers::run(args, &config()?).await,
        }
    }
}

/// Reads the settings and starts logging as they say.
fn load(sources: &Sources, need: Need) -> anyhow::Result<Config> {
    let config = Config::load(sources, need)?;
    telemetry::init_logs(&config.telemetry);
    Ok(config)
}
