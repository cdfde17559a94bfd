//! The template: a database with all migrations applied, made once for a server, copied for each test.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use crate::sql;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Key of the advisory lock under which templates are made: "syncline" in ASCII.
const LOCK: i64 = 0x7379_6e63_6c69_6e65;

/// What killed runs and older migrations left on a shared server; the age of a copy is in its name (a UUID v7).
const LEFTOVERS: &str = r"
    SELECT
        datname::text
    FROM
        pg_database
    WHERE
        datname::text <> $1
        AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = pg_database.datname)
        AND CASE
            WHEN datname ~ '^syncline_test_[0-9a-f]{32}$' THEN
                to_timestamp(('x0000' || substr(datname::text, 15, 12))::bit(64)::bigint / 1000.0) < now() - interval '1 hour'
            WHEN datname ~ '^syncline_template_[0-9a-f]{16}$' THEN
                -- Its comment is the time of its last use.
                coalesce(shobj_description(oid, 'pg_database')::timestamptz < now() - interval '7 days', false)
            ELSE false
        END
    ORDER BY
        datname
    LIMIT
        100
";

/// Applies all migrations to the database at `url`.
pub async fn migrate(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("cannot connect")?;
    MIGRATOR
        .run(&mut connection)
        .await
        .context("cannot apply the migrations")?;
    connection
        .close()
        .await
        .context("cannot close the connection")
}

/// A name for a new copy.
pub(crate) fn copy_name() -> String {
    format!("syncline_test_{}", Uuid::now_v7().simple())
}

/// Makes the template unless the server has it, and returns its name. Safe to be called by many processes at once.
pub(crate) async fn ensure(server: &PgConnectOptions) -> Result<String> {
    let template = template_name();
    let mut connection = server
        .connect()
        .await
        .context("cannot connect to the test server")?;
    // Released with the connection. Two URLs that name different databases do not share it; hence `building` below.
    sql::execute(&mut connection, format!("SELECT pg_advisory_lock({LOCK})")).await?;
    if !exists(&mut connection, &template).await? {
        build(server, &mut connection, &template).await?;
    }
    let mark_used = format!(
        "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE {template} IS %L', now()); END $$"
    );
    sql::execute(&mut connection, mark_used).await?;
    for leftover in sql::texts(&mut connection, LEFTOVERS, &template).await? {
        // Somebody else may be faster, or use it after all.
        let _ = sql::execute(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {leftover}"),
        )
        .await;
    }
    connection
        .close()
        .await
        .context("cannot close the connection")?;
    Ok(template)
}

/// Builds under another name and renames, so that a template is complete as soon as it exists.
async fn build(
    server: &PgConnectOptions,
    connection: &mut PgConnection,
    template: &str,
) -> Result<()> {
    let building = copy_name();
    sql::execute(connection, format!("CREATE DATABASE {building}"))
        .await
        .context(
            "the user of DATABASE_URL must be allowed to create databases: `ALTER ROLE … CREATEDB`",
        )?;
    migrate(server.clone().database(&building).to_url_lossy().as_str()).await?;
    let rename = format!("ALTER DATABASE {building} RENAME TO {template}");
    if let Err(error) = sql::execute(connection, rename).await {
        sql::execute(connection, format!("DROP DATABASE IF EXISTS {building}")).await?;
        return if exists(connection, template).await? {
            Ok(())
        } else {
            Err(error)
        };
    }
    // A connection to it would stand in the way of copying.
    sql::execute(
        connection,
        format!("ALTER DATABASE {template} WITH ALLOW_CONNECTIONS false"),
    )
    .await
}

async fn exists(connection: &mut PgConnection, template: &str) -> Result<bool> {
    let query = "SELECT datname::text FROM pg_database WHERE datname = $1";
    Ok(!sql::texts(connection, query, template).await?.is_empty())
}

/// Another set of migrations is another template.
fn template_name() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in MIGRATOR.iter() {
        migration.version.hash(&mut hasher);
        migration.checksum.hash(&mut hasher);
    }
    format!("syncline_template_{:016x}", hasher.finish())
}
