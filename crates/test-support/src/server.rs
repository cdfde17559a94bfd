//! A server of a test's own, to be stopped and started by it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use private_postgres::{Error, Options, Server};

use crate::source;
use crate::sql;
use crate::template::migrate;
use sqlx::{Connection, PgConnection};

/// Name of the migrated database.
const DATABASE: &str = "syncline";

/// A durable server (`fsync` and all) with one migrated database; for tests in which Postgres crashes, or must not lose anything.
#[derive(Debug)]
pub struct TestServer {
    server: Arc<Mutex<Server>>,
    url: String,
}

impl TestServer {
    /// Starts a server with production's durability, and migrates a database on it. Takes a second or two.
    ///
    /// # Panics
    ///
    /// When it does not start, with the reason.
    pub async fn durable() -> Self {
        Self::start(Options::default())
            .await
            .unwrap_or_else(|error| panic!("no test server: {error:#}"))
    }

    /// The address of the migrated database; the same after [`restart`](Self::restart).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server as a crash would: every connection is cut, nothing is written out.
    ///
    /// # Panics
    ///
    /// When it does not stop.
    pub async fn stop_immediate(&self) {
        self.run("stop", Server::stop_immediate).await;
    }

    /// Starts the server again, with recovery if it crashed, on the same port.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn restart(&self) {
        self.run("restart", Server::restart).await;
    }

    async fn start(options: Options) -> Result<Self> {
        let server = source::start(options).await?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        sql::execute(&mut connection, format!("CREATE DATABASE {DATABASE}")).await?;
        connection
            .close()
            .await
            .context("cannot close the connection")?;
        let url = server.url(DATABASE);
        migrate(&url).await?;
        Ok(Self {
            server: Arc::new(Mutex::new(server)),
            url,
        })
    }

    async fn run(&self, verb: &str, action: fn(&mut Server) -> Result<(), Error>) {
        let server = Arc::clone(&self.server);
        let done = tokio::task::spawn_blocking(move || {
            action(&mut server.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = done
            .await
            .unwrap_or_else(|error| panic!("cannot {verb} the test server: {error}"));
        done.unwrap_or_else(|error| panic!("cannot {verb} the test server: {error}"));
    }
}
