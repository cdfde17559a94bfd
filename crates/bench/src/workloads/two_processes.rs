//! W5: W1 by two worker processes, against W1 by one.
//!
//! Both are processes of their own, connected before the clock starts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;

use crate::contenders::ours;
use crate::ledger::Payload;
use crate::processes::{Order, WorkerProcess};
use crate::workloads::{Bench, count, drain, say};

/// How often we look whether all is done; each look takes a little from the workers.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let jobs = drain::jobs(bench);
    let (mut by_one, mut by_two) = (Vec::new(), Vec::new());
    for round in 1..=bench.pick(5, 2) {
        say(&format!("W5: round {round}"));
        by_one.push(drain_by(bench, 1, &jobs).await?);
        by_two.push(drain_by(bench, 2, &jobs).await?);
    }
    let report = &mut bench.report;
    let note = bench.bulk.to_string();
    let one = report.row("W5", "drain, one process", "jobs/s", &by_one, note.clone());
    let two = report.row("W5", "drain, two processes", "jobs/s", &by_two, note);
    report.at_least("W5 drain by two processes / by one", two / one, 1.3);
    Ok(())
}

/// One round by so many processes; answers jobs per second.
async fn drain_by(bench: &Bench, processes: usize, jobs: &[Payload]) -> Result<f64> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    ours::load(&database, jobs).await?;
    database.settle().await?;
    let order = Order {
        url: database.url(),
        profile: bench.bulk,
        jobs: jobs.len() as u64,
        far_side: None,
    };
    let spawned = (0..processes).map(|_| WorkerProcess::spawn(&order));
    let mut workers = try_join_all(spawned).await?;
    let pool = database.pool(1).await?;
    let begun = Instant::now();
    try_join_all(workers.iter_mut().map(WorkerProcess::go)).await?;
    ours::until_committed(&pool, LOOK_EVERY).await?;
    let seconds = begun.elapsed().as_secs_f64();
    pool.close().await;
    let mut runs = Vec::new();
    for mut worker in workers {
        runs.push(worker.notes().await?.runs);
        worker.stop().await?;
    }
    ensure!(
        runs.iter().sum::<u64>() == jobs.len() as u64,
        "{} jobs, {runs:?} runs",
        jobs.len()
    );
    ours::check_history(&database, jobs.len() as u64).await?;
    database.drop().await?;
    let speed = count(jobs.len()) / seconds;
    say(&format!(
        "  {processes} process(es)    {speed:>8.0} jobs/s, runs {runs:?}"
    ));
    Ok(speed)
}
