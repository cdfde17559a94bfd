//! The server of this test process: the one that `DATABASE_URL` names, or a private one.

use std::env;
use std::str::FromStr;

use anyhow::{Context, Result};
use private_postgres::{Options, Server};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

use crate::template;

/// A server with a template on it.
pub(crate) struct Source {
    /// How to reach a database that is not ours to drop.
    pub(crate) server: PgConnectOptions,
    pub(crate) template: String,
    /// Never dropped: its watchdog stops it when the process ends.
    _private: Option<Server>,
}

/// The server of this process, started or reached by the first test that asks.
pub(crate) async fn source() -> Result<&'static Source> {
    static SOURCE: OnceCell<Source> = OnceCell::const_new();
    SOURCE.get_or_try_init(find).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration but this one variable"
)]
async fn find() -> Result<Source> {
    let given = env::var("DATABASE_URL").unwrap_or_default();
    let (private, url) = if given.is_empty() {
        let server = start(Options::throwaway()).await?;
        let url = server.url("postgres");
        (Some(server), url)
    } else {
        (None, given)
    };
    let server = PgConnectOptions::from_str(&url).context("DATABASE_URL is not a Postgres URL")?;
    let template = template::ensure(&server).await?;
    Ok(Source {
        server,
        template,
        _private: private,
    })
}

/// Starts a private server without blocking the runtime.
pub(crate) async fn start(options: Options) -> Result<Server> {
    tokio::task::spawn_blocking(|| Server::start(options))
        .await
        .context("the start of the private Postgres panicked")?
        .context("cannot start a private Postgres; or set DATABASE_URL to use another")
}
