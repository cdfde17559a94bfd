//! The commands of the binary, and how a failure ends the process.

mod accounts;
mod audit;
pub mod demo;
mod endpoints;
mod exit;
mod keys;
mod migrate;
mod sandbox;
mod serve;
mod stop;
mod users;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::exit::Unavailable;
use crate::config::{Config, Need, Sources};
use crate::ops::{Actor, Ops, Role};
use crate::{database, telemetry};

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
    /// Prove that nothing of an account was left out.
    Accounts(accounts::Args),
    /// Look at what people changed, and prove that nobody changed that.
    Audit(audit::Args),
    /// Run everything on this machine, with customers of its own, and show what happens.
    Demo(demo::Args),
    /// Say where events are sent to, and see how that goes.
    Endpoints(endpoints::Args),
    /// Make, list and revoke the keys that the product calls the API with.
    Keys(keys::Args),
    /// Bring the database to the shape that this version needs.
    Migrate,
    /// Run the simulated Merge alone.
    Sandbox(sandbox::Args),
    /// Run the service.
    Serve(serve::Args),
    /// Say who may use the console.
    Users(users::Args),
    /// Look at received webhooks, and have them acted on once more.
    Webhooks(webhooks::Args),
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// Exit codes: 0 done; 2 the command line is wrong; 69 something needed is unavailable, such as the database;
    /// 78 a setting is wrong; 70 any other failure. A failure is one line on stderr.
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
        match self.command {
            Command::Accounts(args) => accounts::run(args, &load(&sources, Need::Database)?).await,
            Command::Audit(args) => audit::run(args, &load(&sources, Need::Database)?).await,
            Command::Demo(args) => demo::run(args, sources).await,
            Command::Endpoints(args) => {
                endpoints::run(args, &load(&sources, Need::Database)?).await
            }
            Command::Keys(args) => keys::run(args, &load(&sources, Need::Database)?).await,
            Command::Migrate => migrate::run(&load(&sources, Need::Database)?).await,
            Command::Sandbox(args) => sandbox::run(args).await,
            Command::Serve(args) => {
                let sources = args.settings(sources);
                serve::run(&args, load(&sources, Need::Service)?, sources).await
            }
            Command::Users(args) => users::run(args, &load(&sources, Need::Database)?).await,
            Command::Webhooks(args) => webhooks::run(args, &sources).await,
        }
    }
}

/// The service in the hands of whoever sits at this machine: who may run us with its database may do everything.
async fn of_terminal(config: &Config) -> anyhow::Result<Ops> {
    let pool = database::connect(&config.database).await?;
    let queue = queue::Client::listening(pool.clone(), database::listen(&config.database)?);
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let name = user
        .ok()
        .flatten()
        .map_or_else(|| "unknown".to_owned(), |user| user.name);
    let actor = Actor {
        name: format!("command line ({name})"),
        role: Role::Admin,
    };
    Ok(Ops::new(pool, queue, actor))
}

/// Reads the settings and starts logging as they say.
fn load(sources: &Sources, need: Need) -> anyhow::Result<Config> {
    let config = Config::load(sources, need)?;
    telemetry::init_logs(&config.telemetry);
    Ok(config)
}
