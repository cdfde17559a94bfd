//! `syncline serve`: the roles of the service in one process, from start to graceful stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use queue::job::chain;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Unavailable, stop};
use crate::api::Surfaces;
use crate::app::App;
use crate::config::{Config, Sources};
use crate::{api, database, scheduler, telemetry, worker};

/// How often the recorder of metrics tidies up, so that it does not grow when nobody asks for it.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Connections of the API's own: no burst of jobs makes a webhook or a person wait for one.
const API_CONNECTIONS: u32 = 10;

/// How often what was measured is stored: as much as is lost when we are killed.
const ROLLUP_INTERVAL: Duration = Duration::from_secs(5);

/// How long a stop waits until the webhooks kept last are handed to the workers.
const SETTLING: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What this process does; by default everything.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLES", default_values = Role::ALL)]
    role: Vec<Role>,
    /// Address and port of the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// One of the things a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Answer the product and receive webhooks.
    Api,
    /// Run jobs.
    Worker,
    /// Enqueue what is due by the clock.
    Scheduler,
    /// Show people what happens, and let them act.
    Console,
}

impl Role {
    const ALL: [&'static str; 4] = ["api", "worker", "scheduler", "console"];
}

impl Args {
    /// The settings, with those that flags give.
    pub(super) fn settings(&self, mut sources: Sources) -> Sources {
        if let Some(listen) = &self.listen {
            sources
                .flags
                .push(("http.listen", "--listen", listen.clone()));
        }
        sources
    }
}

/// Runs the service until a signal stops it.
pub(super) async fn run(args: &Args, config: Config, sources: Sources) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let starting = Box::pin(Service::start(config, &args.role, stop.clone()));
    match stop.run_until_cancelled(starting).await {
        Some(service) => {
            let mut service = service?;
            service.follow(sources);
            service.run().await
        }
        None => Ok(()),
    }
}

/// The running roles of one process.
pub(crate) struct Service {
    /// What the roles share.
    pub(crate) app: App,
    /// Where the API listens, if this process has one.
    pub(crate) address: Option<SocketAddr>,
    roles: JoinSet<(&'static str, anyhow::Result<()>)>,
    /// Whose use is to be seen.
    pools: Vec<(&'static str, PgPool)>,
}

impl Service {
    /// Connects, migrates or checks the database, and starts the roles.
    ///
    /// `stop` ends them gracefully.
    ///
    /// # Errors
    /// [`Unavailable`] when the database or the address cannot be had.
    pub(crate) async fn start(
        config: Config,
        roles: &[Role],
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let listen = config.http.listen;
        let is_asked = roles.contains(&Role::Api) || roles.contains(&Role::Console);
        let listener = if is_asked {
            Some(bind(listen).await?)
        } else {
            None
        };
        let metrics_listener = match config.telemetry.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = match &listener {
            Some(listener) => Some(listener.local_addr().context("cannot tell our address")?),
            None => None,
        };

        if config.database.migrate_on_start {
            database::migrate(&config.database).await?;
        }
        let pool = database::connect(&config.database).await?;
        if !config.database.migrate_on_start {
            database::check_shape(&pool).await?;
        }
        if roles.contains(&Role::Api) {
            database::check_wall(&pool).await?;
        }
        let mut app = App::new(config, pool, telemetry::recorder())?;
        app.shutdown = stop;
        let mut service = Self {
            app,
            address,
            roles: JoinSet::new(),
            pools: Vec::new(),
        };
        let shows_metrics = listener.is_some() || metrics_listener.is_some();
        service.spawn_roles(listener, roles);
        service.spawn_metrics(metrics_listener, shows_metrics);
        tracing::info!(
            address = address.map(tracing::field::display),
            ?roles,
            "serving"
        );
        Ok(service)
    }

    fn spawn_roles(&mut self, listener: Option<TcpListener>, roles: &[Role]) {
        let app = self.app.clone();
        if let Some(listener) = listener {
            let mut api = app.clone();
            api.pool = database::like(&app.pool, API_CONNECTIONS);
            self.pools.push(("api", api.pool.clone()));
            let (pool, inbox) = (api.pool.clone(), api.inbox.clone());
            let surfaces = Surfaces {
                has_api: roles.contains(&Role::Api),
                has_console: roles.contains(&Role::Console),
            };
            if surfaces.has_console {
                let pulse = Arc::clone(&app.pulse);
                let (pool, shutdown) = (pool.clone(), app.shutdown.clone());
                app.requests
                    .spawn(async move { pulse.run(pool, shutdown).await });
            }
            let mut keeping = app.requests.spawn({
                let (pool, queue, inbox) = (pool.clone(), api.queue.clone(), inbox.clone());
                async move { inbox.run(pool, queue).await }
            });
            let serving = api::serve(
                listener,
                api::router_of(api, surfaces),
                app.shutdown.clone(),
            );
            self.roles.spawn(async move {
                let served = tokio::select! {
                    served = serving => served.map_err(Into::into),
                    ended = &mut keeping => Err(anyhow::anyhow!("nobody keeps webhooks: {ended:?}")),
                };
                // Nobody waits for an answer any more; drains that are not enqueued by now are found later.
                let _ = tokio::time::timeout(SETTLING, inbox.settled()).await;
                keeping.abort();
                pool.close().await;
                ("api", served)
            });
        }
        if roles.contains(&Role::Worker) {
            let working = worker::run(app.clone(), app.shutdown.clone());
            self.roles.spawn(async { ("worker", working.await) });
        }
        if roles.contains(&Role::Scheduler) {
            let scheduling = scheduler::run(app.clone(), app.shutdown.clone());
            self.roles.spawn(async {
                scheduling.await;
                ("scheduler", Ok(()))
            });
        }
        let measured = self.app.clone();
        self.roles.spawn(async move {
            store_measured(&measured).await;
            ("rollups", Ok(()))
        });
    }

    /// Keeps metrics up to date, and serves them at an address of their own, if they have one.
    fn spawn_metrics(&mut self, listener: Option<TcpListener>, are_shown: bool) {
        let app = self.app.clone();
        if let Some(listener) = listener {
            let router = api::router_of(app.clone(), Surfaces::NONE);
            let serving = api::serve(listener, router, app.shutdown.clone());
            self.roles
                .spawn(async { ("metrics", serving.await.map_err(Into::into)) });
        }
        let mut pools = std::mem::take(&mut self.pools);
        pools.push(("jobs", app.pool.clone()));
        if are_shown {
            let looking = telemetry::look_at_database(app.pool.clone(), app.shutdown.clone());
            self.roles.spawn(async {
                looking.await;
                ("gauges", Ok(()))
            });
        }
        self.roles.spawn(async move {
            let pause = || {
                app.shutdown
                    .run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL))
            };
            while pause().await.is_some() {
                telemetry::note_pools(&pools);
                app.metrics.run_upkeep();
            }
            ("upkeep", Ok(()))
        });
    }

    /// Follows changes of the settings that may change while we run.
    fn follow(&mut self, sources: Sources) {
        if !sources.may_change() {
            return;
        }
        let (secrets, shutdown) = (self.app.webhook_secrets.clone(), self.app.shutdown.clone());
        self.roles.spawn(async move {
            secrets.follow(&sources, shutdown).await;
            ("settings", Ok(()))
        });
    }

    /// Waits for the stop and for the graceful end of every role.
    ///
    /// # Errors
    /// The first role's that ended before it was told to; the others are stopped then.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.roles.join_next().await {
            let was_told = self.app.shutdown.is_cancelled();
            let failure = match ended {
                Ok((_, Ok(()))) if was_told => continue,
                Ok((role, Ok(()))) => anyhow::anyhow!("the {role} ended by itself"),
                Ok((role, Err(error))) => error.context(format!("the {role} failed")),
                Err(panic) => anyhow::Error::new(panic).context("a role panicked"),
            };
            self.app.shutdown.cancel();
            if outcome.is_ok() {
                outcome = Err(failure);
            }
        }
        // Once more, with what the roles measured while they stopped.
        let (tally, pool) = (self.app.queue.tally(), &self.app.pool);
        if let Err(error) = tally.store(pool).await {
            let (error, lost) = (chain(&error), tally.waiting());
            tracing::warn!(error, lost, "the last measurements could not be stored");
        }
        self.app.pool.close().await;
        tracing::info!("stopped");
        telemetry::flush_traces().await;
        outcome
    }
}

/// Stores what this process measured, every few seconds until the stop.
async fn store_measured(app: &App) {
    let pause = || {
        app.shutdown
            .run_until_cancelled(tokio::time::sleep(ROLLUP_INTERVAL))
    };
    while pause().await.is_some() {
        if let Err(error) = app.queue.tally().store(&app.pool).await {
            tracing::warn!(error = chain(&error), "cannot store what was measured yet");
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::Error::new(error).context(Unavailable(format!("cannot listen on {address}")))
    })
}
