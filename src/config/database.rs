use std::str::FromStr as _;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use super::{Fault, form};

/// Postgres. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/name`.
    pub url: SecretString,
    /// Whether `url` leads to a pooler that lends its connections by transaction.
    pub transaction_pooler: bool,
    /// Where the database is without that pooler; empty: not reached.
    pub direct_url: SecretString,
    /// Connections of the pool, at most.
    pub max_connections: u32,
    /// How long the first connection is tried.
    #[serde(deserialize_with = "form::duration")]
    pub connect_timeout: Duration,
    /// How long a task waits for a free connection.
    #[serde(deserialize_with = "form::duration")]
    pub acquire_timeout: Duration,
    /// Longest run of one statement.
    #[serde(deserialize_with = "form::duration")]
    pub statement_timeout: Duration,
    /// Longest pause inside a transaction.
    #[serde(deserialize_with = "form::duration")]
    pub idle_in_transaction_timeout: Duration,
    /// Whether `serve` migrates at start.
    pub migrate_on_start: bool,
}

impl Database {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let url = self.url.expose_secret();
        let set = format!("not set; set DATABASE_URL or DATABASE_URL_FILE to {EXAMPLE}");
        Fault::unless(!url.is_empty(), "database.url", &set)?;
        check_url("database.url", url)?;
        self.check_pooler()?;
        Fault::unless(
            self.max_connections >= 2,
            "database.max_connections",
            "expected at least 2",
        )?;
        for (key, duration) in [
            ("database.acquire_timeout", self.acquire_timeout),
            ("database.statement_timeout", self.statement_timeout),
            (
                "database.idle_in_transaction_timeout",
                self.idle_in_transaction_timeout,
            ),
        ] {
            Fault::unless(
                duration >= Duration::from_millis(100),
                key,
                "expected at least 100ms",
            )?;
        }
        Ok(())
    }

    fn check_pooler(&self) -> Result<(), Fault> {
        const DIRECT_URL: &str = "database.direct_url";
        let direct_url = self.direct_url.expose_secret();
        if direct_url.is_empty() {
            return Fault::unless(
                !(self.transaction_pooler && self.migrate_on_start),
                DIRECT_URL,
                "not set, and migrations cannot go through a pooler: set DATABASE_DIRECT_URL, or run \
                 `syncline migrate` elsewhere and set database.migrate_on_start to false",
            );
        }
        Fault::unless(
            self.transaction_pooler,
            DIRECT_URL,
            "of use only beside a pooler; set database.transaction_pooler to true, or leave this out",
        )?;
        check_url(DIRECT_URL, direct_url)
    }
}

const EXAMPLE: &str = "postgres://user:password@host:5432/name";

fn check_url(key: &'static str, url: &str) -> Result<(), Fault> {
    let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    Fault::unless(
        is_postgres,
        key,
        &format!("no Postgres URL; write {EXAMPLE}"),
    )?;
    Fault::unless(
        PgConnectOptions::from_str(url).is_ok(),
        key,
        &format!("a part of it cannot be read; write {EXAMPLE}"),
    )
}
