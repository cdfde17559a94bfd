//! The service with all its roles, in this process, as `serve` starts it.

use std::{io, net::SocketAddr};

use anyhow::{Context, Result};
use merge_sandbox::Running;
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{Args, ground::Ground, progress::print};
use crate::{
    app::App,
    cli::serve::{Role, Service},
    config::{Config, Need, Sources},
};

/// The running service.
pub(super) struct Machine {
    /// Where its API is.
    pub(super) api: Url,
    /// Its database.
    pub(super) pool: PgPool,
    /// Its parts.
    pub(super) app: App,
    /// What another process of it needs in its environment.
    pub(super) child: Vec<(&'static str, String)>,
    stop: CancellationToken,
    running: JoinHandle<Result<()>>,
}

impl Machine {
    /// Migrates, and starts every role.
    pub(super) async fn start(
        args: &Args,
        ground: &Ground,
        sandbox: &Running,
        sources: Sources,
    ) -> Result<Self> {
        let listen = free_address(args.listen).await?;
        let mut config = config(listen, ground, sandbox, sources)?;
        if args.incident {
            // The poison account is to die, and not to be spared.
            config.merge.breaker_failures = 1_000;
            config.merge.errors = 200;
        }
        let stop = CancellationToken::new();
        let roles = [Role::Api, Role::Worker, Role::Scheduler, Role::Console];
        let service = Service::start(config, &roles, stop.clone()).await?;
        let address = service.address.context("the API was asked for")?;
        let api = Url::parse(&format!("http://{address}/"))?;
        let (app, pool) = (service.app.clone(), service.app.pool.clone());
        let running = TaskTracker::new().spawn(service.run());
        Ok(Self {
            api,
            pool,
            app,
            child: of_child(ground, sandbox),
            stop,
            running,
        })
    }

    /// Stops it as a signal would: no new work, what runs comes to its end.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.running.await.context("the service panicked")?
    }
}

/// The address asked for, or a free port of it when that one is taken.
async fn free_address(address: SocketAddr) -> Result<SocketAddr> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            print(&format!("{address} is taken; taking another port"));
            Ok(SocketAddr::new(address.ip(), 0))
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
        Ok(_) => Ok(address),
    }
}

/// The settings that another process of the machine needs, as variables.
fn of_child(ground: &Ground, sandbox: &Running) -> Vec<(&'static str, String)> {
    let secrets = &ground.secrets;
    vec![
        ("DATABASE_URL", ground.database_url.to_string()),
        ("SYNCLINE__DATABASE__MIGRATE_ON_START", "false".to_owned()),
        ("MERGE_API_BASE", sandbox.base_url().to_string()),
        ("MERGE_API_KEY", secrets.sandbox_key.clone()),
        ("MERGE_WEBHOOK_SECRET", secrets.webhook_secret.clone()),
        ("SYNCLINE_ENCRYPTION_KEY", secrets.encryption_key.clone()),
    ]
}

/// The settings of this machine, with what the demo decides on top.
fn config(
    listen: SocketAddr,
    ground: &Ground,
    sandbox: &Running,
    mut sources: Sources,
) -> Result<Config> {
    let secrets = &ground.secrets;
    let decided = [
        ("database.url", ground.database_url.to_string()),
        ("http.listen", listen.to_string()),
        ("http.api_key", secrets.api_key.clone()),
        ("merge.api_base", sandbox.base_url().to_string()),
        ("merge.api_key", secrets.sandbox_key.clone()),
        ("merge.webhook_secrets", secrets.webhook_secret.clone()),
        ("encryption.keys", secrets.encryption_key.clone()),
        // Nine tenths of what the sandbox takes for an account, half of that at once.
        ("merge.requests_per_minute", "540".to_owned()),
        ("merge.burst", "270".to_owned()),
        // The sandbox syncs twice a minute, not twice a day.
        ("sync.poll_initial", "5s".to_owned()),
        ("sync.poll_fast", "20s".to_owned()),
        ("sync.poll_slow", "60s".to_owned()),
    ];
    sources
        .flags
        .extend(decided.map(|(key, value)| (key, "of the demo", value)));
    Ok(Config::load(&sources, Need::Service)?)
}
