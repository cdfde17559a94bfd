//! The private Postgres of a run, and a fresh database for every measured round.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use private_postgres::Options;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};

use crate::{cpu, sql};

/// Beside the private server's own, which are production's (`fsync`, `full_page_writes`, `synchronous_commit`).
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "1GB"),
    // No checkpoint falls into one round and not into another; we ask for them between rounds.
    ("max_wal_size", "6GB"),
    ("checkpoint_timeout", "1h"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("pg_stat_statements.track", "none"),
];

/// How long a pool may take to open its connections.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// A durable Postgres of this run's own.
pub(crate) struct Server {
    inner: private_postgres::Server,
    options: PgConnectOptions,
    postmaster: u32,
    made: AtomicU32,
}

impl Server {
    /// Starts it; it ends with this process.
    pub(crate) async fn start() -> Result<Self> {
        let options = Options {
            settings: SETTINGS
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            ..Options::default()
        };
        let inner = tokio::task::spawn_blocking(|| private_postgres::Server::start(options))
            .await
            .context("the start of the private Postgres panicked")?
            .context("cannot start a private Postgres")?;
        let pid_file = inner.folder().join("data/postmaster.pid");
        let pid = std::fs::read_to_string(&pid_file).context("cannot read the postmaster's pid")?;
        let postmaster = pid.lines().next().and_then(|line| line.parse().ok());
        let options = PgConnectOptions::from_str(&inner.url("postgres"))?;
        let mut connection = options.connect().await.context("cannot connect")?;
        sql::execute(&mut connection, "CREATE EXTENSION pg_stat_statements").await?;
        connection.close().await?;
        Ok(Self {
            options,
            postmaster: postmaster.context("the postmaster's pid file has no pid")?,
            inner,
            made: AtomicU32::new(0),
        })
    }

    /// Processor time used so far by us and by Postgres.
    pub(crate) fn cpu(&self) -> Result<cpu::Used> {
        cpu::Used::now(self.postmaster)
    }

    /// A pool to the database that always exists.
    pub(crate) async fn pool(&self) -> Result<PgPool> {
        let pool = PgPoolOptions::new().max_connections(1);
        pool.connect_with(self.options.clone())
            .await
            .context("cannot connect")
    }

    /// For the report.
    pub(crate) fn describe(&self) -> String {
        let settings: Vec<_> = SETTINGS[..3]
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!(
            "PostgreSQL {}, fsync=on, synchronous_commit=on, {}",
            self.inner.major_version(),
            settings.join(", ")
        )
    }

    /// A new, empty database.
    pub(crate) async fn empty(&self) -> Result<Database> {
        self.create("template0").await
    }

    /// A copy of a database that nobody is connected to, after a checkpoint: so that every round begins
    /// with the same work behind it.
    pub(crate) async fn copy(&self, template: &Database) -> Result<Database> {
        self.create(&template.name).await
    }

    async fn create(&self, template: &str) -> Result<Database> {
        let name = format!("bench_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.options.connect().await.context("cannot connect")?;
        sql::execute(
            &mut connection,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await?;
        sql::execute(&mut connection, "CHECKPOINT").await?;
        connection.close().await?;
        Ok(Database {
            options: self.options.clone().database(&name),
            server: self.options.clone(),
            name,
        })
    }
}

/// A database of one round.
#[derive(Debug)]
pub(crate) struct Database {
    options: PgConnectOptions,
    server: PgConnectOptions,
    name: String,
}

impl Database {
    /// Its address with the password.
    pub(crate) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        self.options.connect().await.context("cannot connect")
    }

    /// A pool all of whose connections are open: opening one takes longer than a thousand jobs.
    pub(crate) async fn pool(&self, connections: u32) -> Result<PgPool> {
        let pool = PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .acquire_timeout(CONNECT_PATIENCE)
            .connect_with(self.options.clone())
            .await
            .context("cannot connect")?;
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(pool.acquire().await.context("cannot connect")?);
        }
        Ok(pool)
    }

    /// Runs statements that answer nothing.
    pub(crate) async fn execute(&self, statements: &str) -> Result<()> {
        let mut connection = self.connect().await?;
        sql::execute(&mut connection, statements).await?;
        connection.close().await?;
        Ok(())
    }

    /// From now on Postgres counts the statements of new connections to it.
    pub(crate) async fn count_statements(&self) -> Result<()> {
        let name = &self.name;
        self.execute(&format!(
            "ALTER DATABASE {name} SET pg_stat_statements.track = 'top'"
        ))
        .await
    }

    /// After a fill, what autovacuum would have done by the time a live system holds so many rows.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.execute("VACUUM (ANALYZE)").await
    }

    /// Bytes of each table with its indexes, largest first, partitions under their parent's name.
    pub(crate) async fn table_sizes(&self) -> Result<Vec<(String, i64)>> {
        let pool = self.pool(1).await?;
        let rows = sql::texts(
            &pool,
            "SELECT regexp_replace(relname::text, '_[0-9]{8}$', ''), sum(pg_total_relation_size(relid))::text
             FROM pg_stat_user_tables
             WHERE schemaname <> 'information_schema'
             GROUP BY 1
             HAVING sum(pg_total_relation_size(relid)) > 64 * 1024
             ORDER BY sum(pg_total_relation_size(relid)) DESC
             LIMIT 20",
        )
        .await?;
        pool.close().await;
        rows.into_iter()
            .map(|row| match row.as_slice() {
                [name, bytes] => Ok((name.clone(), bytes.parse()?)),
                _ => anyhow::bail!("two columns were asked for"),
            })
            .collect()
    }

    /// Removes it.
    pub(crate) async fn drop(self) -> Result<()> {
        let mut connection = self.server.connect().await.context("cannot connect")?;
        sql::execute(
            &mut connection,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await?;
        connection.close().await?;
        Ok(())
    }
}
