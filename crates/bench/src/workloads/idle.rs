//! What a worker process costs that has nothing to do: statements, memory; and whether waiting jobs add
//! to its memory.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use crate::contenders::ours::Profile;
use crate::cpu;
use crate::fill::Waiting;
use crate::processes::{Order, WorkerProcess};
use crate::server::{Database, Server};
use crate::sql;
use crate::workloads::{Bench, mebibytes, say};

/// What a worker gets to become idle.
const SETTLING: Duration = Duration::from_secs(5);

/// What was seen of one idle worker.
struct Seen {
    statements_per_second: f64,
    transactions_per_second: f64,
    resident_mebibytes: f64,
}

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    say("Idle: nothing waits");
    let watch_for = Duration::from_secs(bench.pick(30, 6));
    let empty = bench.server.copy(&bench.templates.ours).await?;
    let alone = watch(&bench.server, &empty, watch_for).await?;
    empty.drop().await?;

    let (jobs, lanes) = bench.pick((1_000_000, 100_000), (100_000, 100_000));
    say(&format!("Idle: {jobs} jobs wait in {lanes} lanes"));
    let full = bench.server.copy(&bench.templates.ours).await?;
    let waiting = Waiting {
        jobs,
        first_number: 0,
        lanes,
        first_account: 0,
        run_at: "now() + interval '1 day'",
    };
    waiting.fill(&full).await?;
    full.settle().await?;
    let crowded = watch(&bench.server, &full, watch_for).await?;
    full.drop().await?;

    let report = &mut bench.report;
    let notes = [
        "nothing waits".to_owned(),
        format!("{jobs} jobs wait in {lanes} lanes"),
    ];
    for (seen, note) in [&alone, &crowded].into_iter().zip(notes) {
        let rows = [
            ("statements", "1/s", seen.statements_per_second),
            ("transactions", "1/s", seen.transactions_per_second),
            ("resident memory", "MiB", seen.resident_mebibytes),
        ];
        for (what, unit, value) in rows {
            let what = format!("idle worker, {what}");
            report.row("Idle", what, unit, &[value], note.clone());
        }
    }
    let added = crowded.resident_mebibytes - alone.resident_mebibytes;
    let statements = alone.statements_per_second;
    report.at_most("Idle statements per second per worker", statements, 1.0);
    report.at_most("Idle worker's memory, MiB", alone.resident_mebibytes, 30.0);
    report.at_most("Memory added by waiting jobs, MiB", added, 1.0);
    Ok(())
}

/// Starts a worker, lets it settle, and watches it.
async fn watch(server: &Server, database: &Database, watch_for: Duration) -> Result<Seen> {
    database.count_statements().await?;
    let order = Order {
        url: database.url(),
        profile: Profile::DEFAULT,
        jobs: 0,
        far_side: None,
    };
    let mut worker = WorkerProcess::spawn(&order).await?;
    worker.go().await?;
    sleep(SETTLING).await;
    let before = counts(server, database).await?;
    sleep(watch_for).await;
    let after = counts(server, database).await?;
    let resident = cpu::resident_bytes(worker.pid()?)?;
    worker.stop().await?;
    let rate = |at: usize| {
        let seen = u32::try_from(after[at] - before[at]).context("counts only grow")?;
        anyhow::Ok(f64::from(seen) / watch_for.as_secs_f64())
    };
    Ok(Seen {
        statements_per_second: rate(0)?,
        transactions_per_second: rate(1)?,
        resident_mebibytes: mebibytes(i64::try_from(resident)?),
    })
}

/// Statements and transactions so far, seen from another database.
async fn counts(server: &Server, database: &Database) -> Result<[i64; 2]> {
    let pool = server.pool().await?;
    let name = database.name();
    let statements = format!(
        "SELECT coalesce(sum(calls), 0)::bigint
         FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
         WHERE datname = '{name}' AND query NOT IN ('BEGIN', 'COMMIT', 'ROLLBACK')"
    );
    let transactions = format!(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{name}'"
    );
    let counts = [
        sql::number(&pool, &statements).await?,
        sql::number(&pool, &transactions).await?,
    ];
    pool.close().await;
    Ok(counts)
}
