//! A database of a test's own.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::source::{Source, source};
use crate::{sql, template};

/// Connections that one test may hold; the private server has 200 for all tests of a process.
const POOL_SIZE: u32 = 16;

/// How long the end of a test waits for its database to go. It takes tens of milliseconds.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(1);

/// A migrated database without rows, nobody else's, dropped when this value is.
#[derive(Debug)]
pub struct TestDatabase {
    pool: PgPool,
    options: PgConnectOptions,
    server: PgConnectOptions,
    name: String,
}

impl TestDatabase {
    /// Makes a database.
    ///
    /// # Panics
    ///
    /// Without a server, with the reason: a test cannot go on.
    pub async fn new() -> Self {
        Self::create()
            .await
            .unwrap_or_else(|error| panic!("no test database: {error:#}"))
    }

    /// A pool of up to 16 connections to it.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Its address with the password, for processes and pools of the test's own.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// A connection outside the pool, for two sides of a race.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub async fn connect(&self) -> PgConnection {
        self.options
            .connect()
            .await
            .unwrap_or_else(|error| panic!("cannot connect to the test database: {error}"))
    }

    async fn create() -> Result<Self> {
        let source = source().await?;
        let server = source.server.clone();
        let name = copy(source).await?;
        let options = server.clone().database(&name);
        // From here on `drop` removes the database, whatever fails.
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            server,
            name,
        })
    }
}

/// Copies the template; makes it again if somebody dropped it meanwhile, as a run a week later may.
async fn copy(source: &Source) -> Result<String> {
    let name = template::copy_name();
    let statement = format!("CREATE DATABASE {name} TEMPLATE {}", source.template);
    let mut connection = source
        .server
        .connect()
        .await
        .context("cannot connect to the test server")?;
    if sql::execute(&mut connection, statement.clone())
        .await
        .is_err()
    {
        template::ensure(&source.server).await?;
        sql::execute(&mut connection, statement).await?;
    }
    connection
        .close()
        .await
        .context("cannot close the connection")?;
    Ok(name)
}

impl Drop for TestDatabase {
    /// Waits until the database is gone, but not for ever: Postgres waits for every connection of the server that is
    /// still being opened, up to a minute, and those of a single-threaded test only go on, or are given up, once this
    /// has returned. The thread goes on; what it leaves when the process ends is a leftover like others.
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let (done, is_done) = mpsc::channel::<()>();
        // The test's runtime may be ending, hence a thread and a runtime of its own.
        thread::spawn(move || {
            if let Err(error) = remove(&server, &name) {
                // A test that fails has more to say than this.
                let _ = writeln!(std::io::stderr(), "warning: {error:#}");
            }
            drop(done);
        });
        let _ = is_done.recv_timeout(REMOVAL_PATIENCE);
    }
}

fn remove(server: &PgConnectOptions, name: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = server
            .connect()
            .await
            .context("cannot connect to the test server")?;
        sql::execute(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await?;
        connection
            .close()
            .await
            .context("cannot close the connection")
    })
}
