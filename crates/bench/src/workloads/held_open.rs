//! W7: W1 while another transaction is held open for a minute.
//!
//! It wrote something and reads at one snapshot, so nothing that dies meanwhile can be removed: what
//! the queue leaves behind piles up in its tables. They are filled and drained again and again until
//! the minute is over.

use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::Connection as _;

use crate::contenders::ours;
use crate::sql;
use crate::workloads::{Bench, count, drain, say};

const HOLD: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ;
    CREATE TABLE held_open AS SELECT count(*) FROM syncline.jobs";

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let jobs = drain::jobs(bench);
    let held_for = Duration::from_secs(bench.pick(60, 6));
    let mut free = Vec::new();
    for _ in 0..bench.pick(2, 1) {
        free.push(bench.drain(bench.ours(), &jobs).await?.jobs_per_second);
    }
    let database = bench.server.copy(&bench.templates.ours).await?;
    let mut holder = database.connect().await?;
    sql::execute(&mut holder, HOLD).await?;
    let begun = Instant::now();
    let (mut done, mut draining, mut speeds) = (0, Duration::ZERO, Vec::new());
    while begun.elapsed() < held_for {
        ours::load(&database, &jobs).await?;
        database.settle().await?;
        let took = ours::work_off(&database, jobs.len() as u64, bench.bulk).await?;
        done += jobs.len();
        draining += took;
        speeds.push(count(jobs.len()) / took.as_secs_f64());
        say(&format!(
            "W7: after {:>3} s {:>8.0} jobs/s",
            begun.elapsed().as_secs(),
            speeds[speeds.len() - 1]
        ));
    }
    sql::execute(&mut holder, "COMMIT").await?;
    holder.close().await?;
    ours::check_history(&database, done as u64).await?;
    database.drop().await?;
    for _ in 0..bench.pick(2, 1) {
        free.push(bench.drain(bench.ours(), &jobs).await?.jobs_per_second);
    }
    let report = &mut bench.report;
    let without = report.row("W7", "drain, nothing held open", "jobs/s", &free, "");
    let note = format!("{} s, {done} jobs, all drains together", held_for.as_secs());
    let all = count(done) / draining.as_secs_f64();
    report.row("W7", "drains, transaction held open", "jobs/s", &speeds, "");
    let with = report.row("W7", "the same, as a whole", "jobs/s", &[all], note);
    report.at_least("W7 drain while held open / W1", with / without, 0.6);
    Ok(())
}
