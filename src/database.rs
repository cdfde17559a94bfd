//! The connection to Postgres: opened with patience, and brought to the shape this program needs.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use queue::client::{Listen, close_poisoned};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::cli::Unavailable;
use crate::config::Database;
use crate::typed_views;

/// Longest time for one attempt at connecting.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the pool, after a first connection that is tried until `connect_timeout`.
///
/// # Errors
/// [`Unavailable`], naming the server, when it stays unreachable or refuses us.
pub async fn connect(settings: &Database) -> anyhow::Result<PgPool> {
    let address = options(&settings.url)?;
    let options = if settings.transaction_pooler {
        pooler_relay::through(&address).context("cannot use the pooler")?
    } else {
        address.clone()
    };
    reach(&address, &options, settings.connect_timeout).await?;
    let timeouts = [
        ("statement_timeout", settings.statement_timeout),
        (
            "idle_in_transaction_session_timeout",
            settings.idle_in_transaction_timeout,
        ),
    ];
    let timeouts = timeouts.map(|(name, duration)| (name, duration.as_millis().to_string()));
    Ok(close_poisoned(PgPoolOptions::new())
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .connect_lazy_with(options.options(timeouts)))
}

/// Another pool to the same database, with the same time limits and so many connections, at most.
pub fn like(pool: &PgPool, max_connections: u32) -> PgPool {
    close_poisoned(PgPoolOptions::new())
        .max_connections(max_connections)
        .acquire_timeout(pool.options().get_acquire_timeout())
        .connect_lazy_with((*pool.connect_options()).clone())
}

/// Applies the migrations that are missing, and brings the typed views up to date. Safe while other processes do the same.
///
/// # Errors
/// [`Unavailable`] as for [`connect`]; the store's own when the database is newer, or a migration fails.
pub async fn migrate(settings: &Database) -> anyhow::Result<()> {
    let options = match direct(settings)? {
        Some(direct) => direct,
        None if settings.transaction_pooler => {
            anyhow::bail!("migrations cannot go through a pooler; set DATABASE_DIRECT_URL")
        }
        None => options(&settings.url)?,
    };
    reach(&options, &options, settings.connect_timeout).await?;
    // A connection of its own, without time limits: building an index takes what it takes.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let migrated = async {
        store::migrate(&pool).await?;
        let mut conn = pool.acquire().await?;
        if !store::tenant::put_wall(&mut conn).await? {
            tracing::warn!(
                "the database's own wall between organizations is down, because this user may not make roles; have an \
                 administrator run `CREATE ROLE syncline_tenant; GRANT syncline_tenant TO <this user>`, and migrate again"
            );
        }
        anyhow::Ok(store::typed_views::put(&mut conn, &typed_views::of_catalogue()).await?)
    };
    let in_use = migrated.await;
    pool.close().await;
    for view in in_use.context("cannot bring the database to this program's shape")? {
        tracing::warn!(
            view,
            "the view stays as it is: it would lose a column, and something depends on it; drop that, and migrate again"
        );
    }
    Ok(())
}

/// Checks that the database has this program's shape, and changes nothing.
///
/// # Errors
/// [`Unavailable`] when migrations are missing; the store's own when the database is newer.
pub async fn check_shape(pool: &PgPool) -> anyhow::Result<()> {
    let missing = store::missing_migrations(pool)
        .await
        .context("cannot check the database")?;
    anyhow::ensure!(
        missing == 0,
        Unavailable(format!(
            "the database lacks {missing} migrations; run `syncline migrate`, or set database.migrate_on_start"
        ))
    );
    Ok(())
}

/// Checks that requests of one organization can be answered behind the database's own wall.
///
/// # Errors
/// [`Unavailable`] when this user was not granted the role for it.
pub async fn check_wall(pool: &PgPool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await.context("cannot check the database")?;
    anyhow::ensure!(
        store::tenant::may_enter(&mut conn).await?,
        Unavailable(
            "this database user may not act for one organization; have an administrator run \
             `GRANT syncline_tenant TO <this user>`"
                .to_owned()
        )
    );
    Ok(())
}

/// How the queue hears other processes: not through a pooler.
///
/// # Errors
/// When the direct URL cannot be read.
pub fn listen(settings: &Database) -> anyhow::Result<Listen> {
    Ok(match direct(settings)? {
        Some(direct) => Listen::Directly(Box::new(direct)),
        None if settings.transaction_pooler => Listen::Never,
        None => Listen::LikePool,
    })
}

fn direct(settings: &Database) -> anyhow::Result<Option<PgConnectOptions>> {
    let url = &settings.direct_url;
    if url.expose_secret().is_empty() {
        return Ok(None);
    }
    options(url).map(Some)
}

fn options(url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .context("the database's URL cannot be read")?;
    // A dead peer must be noticed by the server, too: it would hold locks for hours.
    Ok(options.application_name("syncline").options([
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ]))
}

/// Tries to connect until it works or there is no hope: with pauses while the server is starting or away.
async fn reach(
    address: &PgConnectOptions,
    options: &PgConnectOptions,
    patience: Duration,
) -> anyhow::Result<()> {
    let attempt = async || {
        let connecting = PgConnection::connect_with(options);
        let connected = tokio::time::timeout(ATTEMPT_TIMEOUT, connecting).await;
        let connection = connected.map_err(|_| sqlx::Error::PoolTimedOut)??;
        connection.close().await
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(3))
        .with_total_delay(Some(patience))
        .without_max_times()
        .with_jitter();
    attempt
        .retry(pauses)
        .when(may_pass)
        .notify(|error, pause| tracing::warn!(%error, ?pause, "waiting for the database"))
        .await
        .map_err(|error| {
            let message = format!("cannot connect to the database at {}", shown(address));
            match error {
                sqlx::Error::PoolTimedOut => {
                    anyhow::anyhow!("no answer in {}s", ATTEMPT_TIMEOUT.as_secs())
                }
                sqlx::Error::Database(error) => anyhow::anyhow!(error.message().to_owned()),
                error => error.into(),
            }
            .context(Unavailable(message))
        })
}

/// Whether waiting may help: nobody answers, or the server is starting, stopping or full.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("57P") || code == "53300"),
        _ => false,
    }
}

/// Host, port and name of the database: all of its URL that may be shown.
fn shown(options: &PgConnectOptions) -> String {
    let name = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{name}", socket.display()),
        None => format!("{}:{}/{name}", options.get_host(), options.get_port()),
    }
}
