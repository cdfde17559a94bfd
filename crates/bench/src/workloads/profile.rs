//! Where the time of our drain goes: Postgres' own account of our statements.
//!
//! Not part of the comparison, since counting costs a little.

use anyhow::Result;

use crate::contenders::ours;
use crate::ledger::Payload;
use crate::sql;
use crate::workloads::{Bench, say};

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

/// Drains once with statements counted, and writes what they took to stderr.
pub(crate) async fn run(bench: &Bench, jobs: &[Payload]) -> Result<()> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    database.count_statements().await?;
    ours::load(&database, jobs).await?;
    database.settle().await?;
    let pool = bench.server.pool().await?;
    sql::texts(&pool, "SELECT pg_stat_statements_reset()::text").await?;
    let before = bench.server.cpu()?;
    let took = ours::drain(&database, jobs.len() as u64, bench.bulk).await?;
    let used = bench.server.cpu()?.since(before);
    say(&format!(
        "\nours, {} jobs: {:.3} s; processor: client {:.2} s, Postgres {:.2} s",
        jobs.len(),
        took.as_secs_f64(),
        used.client,
        used.postgres
    ));
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
    database.drop().await
}
