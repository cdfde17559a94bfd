//! W3: from the return of a commit to the start of the handler, on a worker that has nothing else to do.
//!
//! One job every 20 ms. The target is for a worker in another process, which learns of the job by a
//! notification; within a process the wake-up is direct.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use queue::Client;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock;
use crate::contenders::ours::{self, Context, Profile, Running};
use crate::ledger::{Ledger, Notes, Payload};
use crate::processes::{Order, WorkerProcess};
use crate::statistics::percentile;
use crate::workloads::drain::LANES;
use crate::workloads::{Bench, say};

const SPACING: Duration = Duration::from_millis(20);
/// What the worker gets to become idle.
const SETTLING: Duration = Duration::from_millis(1_500);

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let jobs = Payload::many(bench.pick(1_000, 150), LANES);
    let (mut far, mut near) = (Vec::new(), Vec::new());
    for round in 1..=bench.pick(3, 1) {
        say(&format!("W3: round {round}"));
        far.push(in_another_process(bench, &jobs).await?);
        near.push(in_this_process(bench, &jobs).await?);
    }
    let [p50, p99] = add(bench, "worker in another process", &far);
    add(bench, "worker in the same process", &near);
    bench
        .report
        .at_most("W3 start after commit, p50, ms", p50, 1.0);
    bench
        .report
        .at_most("W3 start after commit, p99, ms", p99, 4.0);
    Ok(())
}

fn add(bench: &mut Bench, whose: &str, rounds: &[Vec<f64>]) -> [f64; 2] {
    [50, 99].map(|percent| {
        let values: Vec<f64> = rounds
            .iter()
            .map(|round| percentile(round, percent))
            .collect();
        let what = format!("start after commit, p{percent}, {whose}");
        let note = Profile::DEFAULT.to_string();
        bench.report.row("W3", what, "ms", &values, note)
    })
}

async fn in_another_process(bench: &Bench, jobs: &[Payload]) -> Result<Vec<f64>> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    let order = Order {
        url: database.url(),
        profile: Profile::DEFAULT,
        jobs: jobs.len() as u64,
        far_side: None,
    };
    let mut worker = WorkerProcess::spawn(&order).await?;
    worker.go().await?;
    let pool = database.pool(2).await?;
    let committed = enqueue_slowly(&Client::new(pool.clone()), &pool, jobs).await?;
    let notes = worker.notes().await?;
    worker.stop().await?;
    ours::check_history(&database, jobs.len() as u64).await?;
    pool.close().await;
    database.drop().await?;
    latencies(&committed, &notes)
}

async fn in_this_process(bench: &Bench, jobs: &[Payload]) -> Result<Vec<f64>> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    let pool = database.pool(8).await?;
    let client = Client::new(pool.clone());
    let ledger = Arc::new(Ledger::expecting(jobs.len() as u64));
    let running = Running::start(&client, Profile::DEFAULT, Context::of(&ledger)).await?;
    let committed = enqueue_slowly(&client, &pool, jobs).await?;
    running.stop().await?;
    ours::check_history(&database, jobs.len() as u64).await?;
    pool.close().await;
    database.drop().await?;
    latencies(&committed, &ledger.notes())
}

/// Enqueues one job every 20 ms; answers when each commit returned, in nanoseconds.
async fn enqueue_slowly(client: &Client, pool: &PgPool, jobs: &[Payload]) -> Result<Vec<u64>> {
    sleep(SETTLING).await;
    let mut connection = pool.acquire().await?;
    let mut ticks = interval(SPACING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut committed = Vec::new();
    for job in jobs {
        ticks.tick().await;
        let new = ours::new_job(job)?;
        queue::enqueue(&mut *connection, &new).await?;
        committed.push(clock::now_ns());
        client.wake();
    }
    sleep(SETTLING).await;
    Ok(committed)
}

/// Milliseconds from each commit to its job's start. A start before the commit's return counts as none.
fn latencies(committed: &[u64], notes: &Notes) -> Result<Vec<f64>> {
    ensure!(
        usize::try_from(notes.runs) == Ok(committed.len()),
        "{} of {} jobs ran",
        notes.runs,
        committed.len()
    );
    let pairs = committed.iter().zip(&notes.started);
    Ok(pairs
        .map(|(committed, started)| {
            Duration::from_nanos(started.saturating_sub(*committed)).as_secs_f64() * 1_000.0
        })
        .collect())
}
