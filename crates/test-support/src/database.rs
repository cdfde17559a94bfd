//! A database of a test's own.

use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::source::{Source, source};
use crate::{sql, template};

/// Connections that one test may hold; the private server has 200 for all tests of a process.
const POOL_SIZE: u32 = 16;

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
    /// Waits until the database is gone. The test's runtime may be ending, so this uses a thread and runtime of its own.
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = thread::spawn(move || remove(&server, &name)).join();
        if let Ok(Err(error)) = dropped {
            // A test that fails has more to say than this.
            let _ = writeln!(std::io::stderr(), "warning: {error:#}");
        }
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
