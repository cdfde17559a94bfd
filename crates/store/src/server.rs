//! The Postgres server, and how our tables fare in it: facts for those who look after it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::Error;
use crate::error::During as _;

/// Days to come that are looked at.
const DAYS: i32 = 7;

/// The indexes that the migrations make, as `table.index`; kept in step by a test.
const INDEXES: &str = include_str!("server/indexes.txt");

/// The values of settings as they hold for this session, by name, in the units of `pg_settings`.
///
/// # Errors
/// [`Error::Database`].
pub async fn settings(
    conn: &mut PgConnection,
    names: &[&str],
) -> Result<BTreeMap<String, String>, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT name AS "name!", setting AS "setting!"
        FROM pg_settings
        WHERE name = ANY ($1)
        ORDER BY name
        LIMIT 100
        "#,
        &names
    )
    .fetch_all(conn)
    .await
    .during("read the server's settings")?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.setting))
        .collect())
}

/// Connections that clients hold now, ours among them.
///
/// # Errors
/// [`Error::Database`].
pub async fn count_connections(conn: &mut PgConnection) -> Result<i64, Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM pg_stat_activity WHERE backend_type = 'client backend'"#
    )
    .fetch_one(conn)
    .await
    .during("count the server's connections")
}

/// Indexes that should be there and are not, or are not used because they were never finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Indexes {
    /// Not there, as `table.index`.
    pub missing: Vec<String>,
    /// There, and not valid.
    pub invalid: Vec<String>,
}

/// Compares the indexes there are with those that the migrations make. Those of partitions are left out: Postgres makes
/// them as their parents say.
///
/// # Errors
/// [`Error::Database`].
pub async fn check_indexes(conn: &mut PgConnection) -> Result<Indexes, Error> {
    let there = indexes(conn).await?;
    let is_there = |name: &&str| there.iter().any(|(there, _)| there == name);
    let missing = INDEXES.lines().filter(|name| !is_there(name));
    let invalid = there.iter().filter(|(_, is_valid)| !is_valid);
    Ok(Indexes {
        missing: missing.map(str::to_owned).collect(),
        invalid: invalid.map(|(name, _)| name.clone()).collect(),
    })
}

/// The indexes there are, as `table.index`, and whether each is valid.
async fn indexes(conn: &mut PgConnection) -> Result<Vec<(String, bool)>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT table_.relname || '.' || index_.relname AS "name!", indisvalid
        FROM pg_index
        JOIN pg_class index_ ON index_.oid = indexrelid
        JOIN pg_class table_ ON table_.oid = indrelid
        JOIN pg_namespace ON pg_namespace.oid = table_.relnamespace
        WHERE nspname = 'syncline'
          AND NOT table_.relispartition
        ORDER BY table_.relname COLLATE "C", index_.relname COLLATE "C"
        LIMIT 10000
        "#
    )
    .fetch_all(conn)
    .await
    .during("list the indexes")?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.indisvalid))
        .collect())
}

/// How a table fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// Rows that are seen, as estimated.
    pub live: i64,
    /// Rows that nobody sees any more and that still take up room, as estimated.
    pub dead: i64,
    /// Bytes on disk, without indexes.
    pub bytes: i64,
    /// When that was last cleaned up.
    pub vacuumed_at: Option<DateTime<Utc>>,
}

/// Our tables, those with the most dead rows first; at most twenty.
///
/// # Errors
/// [`Error::Database`].
pub async fn tables(conn: &mut PgConnection) -> Result<Vec<Table>, Error> {
    sqlx::query_as!(
        Table,
        r#"
        SELECT
            relname AS "table!", n_live_tup AS "live!", n_dead_tup AS "dead!", pg_table_size(relid) AS "bytes!",
            greatest(last_vacuum, last_autovacuum) AS vacuumed_at
        FROM pg_stat_user_tables
        WHERE schemaname = 'syncline'
        ORDER BY n_dead_tup DESC, relname
        LIMIT 20
        "#
    )
    .fetch_all(conn)
    .await
    .during("look at the tables")
}

/// Something that keeps dead rows from being cleaned up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
    /// `transaction`, `prepared transaction` or `replication slot`.
    pub what: String,
    /// Which.
    pub name: String,
    /// For how long; not known of slots.
    pub seconds: Option<f64>,
}

impl Holder {
    /// For how long; zero when that is not known.
    pub fn age(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds.unwrap_or(0.0)).unwrap_or_default()
    }
}

/// The transactions of this database, prepared ones and replication slots, the oldest first; at most a hundred.
///
/// # Errors
/// [`Error::Database`].
pub async fn holders(conn: &mut PgConnection) -> Result<Vec<Holder>, Error> {
    sqlx::query_as!(
        Holder,
        r#"
        SELECT what AS "what!", name AS "name!", seconds
        FROM (
            SELECT
                'transaction' AS what,
                format('process %s of %s, %s (%s)', pid, usename, application_name, state) AS name,
                extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
            FROM pg_stat_activity
            WHERE datname = current_database()
              AND backend_type = 'client backend'
              AND xact_start IS NOT NULL
              AND pid <> pg_backend_pid()
            UNION ALL
            SELECT 'prepared transaction', gid, extract(epoch FROM clock_timestamp() - prepared)::float8
            FROM pg_prepared_xacts
            WHERE database = current_database()
            UNION ALL
            SELECT 'replication slot', slot_name, NULL
            FROM pg_replication_slots
            WHERE NOT active
              AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
        ) AS holding
        ORDER BY seconds DESC NULLS LAST, name
        LIMIT 100
        "#
    )
    .fetch_all(conn)
    .await
    .during("look for old transactions")
}

/// A table that has a partition for each day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partitioned {
    /// Its name.
    pub table: String,
    /// How many days from today on have their partition, of the next eight.
    pub days: i32,
}

/// The tables that are partitioned by day, and how far their partitions reach.
///
/// # Errors
/// [`Error::Database`].
pub async fn partitions(conn: &mut PgConnection) -> Result<Vec<Partitioned>, Error> {
    sqlx::query_as!(
        Partitioned,
        r#"
        SELECT
            relname AS "table!",
            coalesce((
                SELECT min(ahead)
                FROM generate_series(0, $1) AS ahead
                CROSS JOIN LATERAL to_char((now() AT TIME ZONE 'UTC')::date + ahead, 'YYYYMMDD') AS day
                WHERE to_regclass(format('syncline.%I', relname || '_' || day)) IS NULL
            ), $1 + 1) AS "days!"
        FROM pg_partitioned_table
        JOIN pg_class ON pg_class.oid = partrelid
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'syncline'
          AND partstrat = 'r'
        ORDER BY relname
        LIMIT 100
        "#,
        DAYS
    )
    .fetch_all(conn)
    .await
    .during("look at the partitions")
}

#[cfg(test)]
mod tests;
