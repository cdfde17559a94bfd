//! W6: one lane with a million jobs, beside a thousand lanes that get one job each.
//!
//! The thousand come in one commit while the worker is busy with the million. They should start as they
//! do on an idle system, plus the time of one turn of the large lane at most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use queue::Client;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::contenders::PATIENCE;
use crate::contenders::ours::{self, Context, Profile, Running};
use crate::fill::Waiting;
use crate::ledger::{Ledger, Payload};
use crate::statistics::percentile;
use crate::workloads::{Bench, count, say};

/// The others: one job each.
const OTHERS: u32 = 1_000;
/// Over so long the speed of the large lane is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// What one round found, in milliseconds.
struct Round {
    p50: f64,
    p99: f64,
    /// How long one turn of the large lane took.
    turn: f64,
}

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let many = bench.pick(1_000_000, 100_000);
    let (mut idle, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=bench.pick(3, 1) {
        say(&format!("W6: round {round}"));
        idle.push(start_others(bench, 0).await?);
        beside.push(start_others(bench, many).await?);
    }
    let column =
        |rounds: &[Round], of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let note = Profile::DEFAULT.to_string();
    let turns = column(&beside, |round| round.turn);
    let turn = bench
        .report
        .row("W6", "one turn of the large lane", "ms", &turns, note);
    let beside_note = format!("one lane with {many} jobs");
    for name in ["p50", "p99"] {
        let of = |rounds: &[Round]| match name {
            "p50" => column(rounds, |round| round.p50),
            _ => column(rounds, |round| round.p99),
        };
        let report = &mut bench.report;
        let what = format!("start of 1,000 others, {name}");
        let alone = report.row("W6", format!("{what}, idle"), "ms", &of(&idle), "");
        let what = format!("{what}, beside");
        let crowded = report.row("W6", what, "ms", &of(&beside), beside_note.clone());
        let name = format!("W6 start beside the large lane, {name}, ms");
        report.at_most(name, crowded, alone * 1.1 + turn);
    }
    Ok(())
}

/// Starts the thousand while a lane with so many jobs is worked.
async fn start_others(bench: &Bench, many: u64) -> Result<Round> {
    let database = bench.server.copy(&bench.templates.ours).await?;
    if many > 0 {
        let large = Waiting {
            jobs: many,
            first_number: u64::from(OTHERS),
            lanes: 1,
            first_account: OTHERS,
            run_at: "now()",
        };
        large.fill(&database).await?;
        database.settle().await?;
    }
    let pool = database.pool(8).await?;
    let client = Client::new(pool.clone());
    let ledger = Arc::new(Ledger::expecting(u64::from(OTHERS)));
    let running = Running::start(&client, Profile::DEFAULT, Context::of(&ledger)).await?;
    sleep(WARM_UP).await;
    let (before, begun) = (ledger.notes().runs, Instant::now());
    sleep(WARM_UP).await;
    let runs = ledger.notes().runs - before;
    let speed = count(usize::try_from(runs)?) / begun.elapsed().as_secs_f64();

    let others = Payload::many(u64::from(OTHERS), OTHERS);
    let mut connection = pool.acquire().await?;
    ours::enqueue_many(&mut connection, &others).await?;
    let committed = clock::now_ns();
    client.wake();
    let starts = timeout(PATIENCE, all_started(&ledger)).await;
    let starts = starts.context("the others did not start in time")?;
    drop(connection);
    running.stop().await?;
    pool.close().await;
    database.drop().await?;

    let waits: Vec<f64> = starts
        .iter()
        .map(|start| Duration::from_nanos(start.saturating_sub(committed)).as_secs_f64() * 1_000.0)
        .collect();
    let round = Round {
        p50: percentile(&waits, 50),
        p99: percentile(&waits, 99),
        turn: count(Profile::DEFAULT.quantum) / speed.max(1.0) * 1_000.0,
    };
    say(&format!(
        "  beside {many} jobs worked at {speed:.0}/s: p50 {:.1} ms, p99 {:.1} ms",
        round.p50, round.p99
    ));
    Ok(round)
}

/// When each of the others started.
async fn all_started(ledger: &Ledger) -> Vec<u64> {
    loop {
        let started = ledger.notes().started;
        if started.iter().all(|at| *at > 0) {
            return started;
        }
        sleep(Duration::from_millis(10)).await;
    }
}
