//! Where Postgres' time goes: its own account of our statements.
//!
//! Not part of any comparison, since counting costs a little.

use anyhow::Result;

use crate::server::{Database, Server};
use crate::sql;
use crate::workloads::say;

const STATEMENTS: &str = "
    SELECT
        round(total_exec_time)::bigint::text,
        calls::text,
        rows::text,
        round(mean_exec_time::numeric, 2)::text,
        pg_size_pretty(wal_bytes),
        pg_size_pretty((shared_blks_hit + shared_blks_read) * 8192),
        left(regexp_replace(
            regexp_replace(query, '--[^\n]*\n', ' ', 'g'), '\\s+', ' ', 'g'
        ), 110)
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = 'DATABASE')
    ORDER BY total_exec_time DESC
    LIMIT 14";

/// Forgets what was counted so far.
pub(crate) async fn begin(server: &Server) -> Result<()> {
    let pool = server.pool().await?;
    sql::texts(&pool, "SELECT pg_stat_statements_reset()::text").await?;
    pool.close().await;
    Ok(())
}

/// Writes to stderr what the statements in a database took since.
pub(crate) async fn tell(server: &Server, database: &Database) -> Result<()> {
    let pool = server.pool().await?;
    say("   total ms  calls     rows  mean ms        WAL    buffers  statement");
    let statements = STATEMENTS.replace("DATABASE", database.name());
    for row in sql::texts(&pool, &statements).await? {
        let [total, calls, rows, mean, wal, buffers, query] = &row[..] else {
            anyhow::bail!("seven columns were asked for");
        };
        say(&format!(
            "{total:>11} {calls:>6} {rows:>8} {mean:>8} {wal:>10} {buffers:>10}  {query}"
        ));
    }
    pool.close().await;
    Ok(())
}
