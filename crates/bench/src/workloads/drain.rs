//! W1: draining 50,000 jobs that do nothing, 200 bytes each, over 1,000 lanes.
//!
//! Each peer's settings are chosen first, by one drain each; then all take turns.

use anyhow::{Context as _, Result};

use crate::contenders::{Contender, by_hand, river, stock};
use crate::ledger::Payload;
use crate::report::number;
use crate::workloads::{Bench, Drained, mebibytes, say};

/// Accounts the jobs are spread over.
pub(crate) const LANES: u32 = 1_000;

/// The workload's jobs.
pub(crate) fn jobs(bench: &Bench) -> Vec<Payload> {
    Payload::many(bench.pick(50_000, 20_000), LANES)
}

/// The limit with a single client that claims while it completes.
const BY_ONE: Contender = by_hand(1, true);

const fn by_hand(clients: u32, is_overlapped: bool) -> Contender {
    Contender::ByHand(by_hand::Settings {
        clients,
        is_overlapped,
        batch: 1_000,
    })
}

const fn stock(batch: usize, workers: usize) -> Contender {
    Contender::Stock(stock::Settings { batch, workers })
}

const fn river(workers: usize) -> Contender {
    Contender::River(river::Settings { workers })
}

/// The peers' settings among which the best is chosen; `--quick` takes the first, which mostly is.
const CANDIDATES: [&[Contender]; 3] = [
    &[
        by_hand(2, true),
        by_hand(2, false),
        by_hand(1, false),
        by_hand(3, false),
        by_hand(4, false),
        by_hand(3, true),
    ],
    &[
        stock(1_000, 2),
        stock(1_000, 1),
        stock(500, 1),
        stock(2_000, 1),
    ],
    &[river(2_000), river(5_000), river(1_000), river(10_000)],
];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let jobs = jobs(bench);
    let mut contenders = vec![bench.ours(), BY_ONE];
    for candidates in CANDIDATES {
        contenders.push(best(bench, candidates, &jobs).await?);
    }
    let mut rounds: Vec<Vec<Drained>> = vec![Vec::new(); contenders.len()];
    for round in 1..=bench.pick(5, 2) {
        say(&format!("W1: round {round}"));
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(bench.drain(*contender, &jobs).await?);
        }
    }
    let mut medians = Vec::new();
    for (contender, rounds) in contenders.iter().zip(&rounds) {
        medians.push(add_rows(bench, *contender, rounds));
    }
    let [ours, by_one, by_hand, stock, river] = medians[..] else {
        anyhow::bail!("five contenders were measured");
    };
    let limit = by_one.max(by_hand);
    let report = &mut bench.report;
    report.at_least("W1 drain / limit by hand, best", ours / limit, 0.5);
    report.at_least("W1 drain / apalis-postgres, best", ours / stock, 3.0);
    report.at_least("W1 drain / riverqueue, best", ours / river, 1.0);
    Ok(())
}

async fn best(bench: &Bench, candidates: &[Contender], jobs: &[Payload]) -> Result<Contender> {
    if bench.is_quick {
        return candidates.first().copied().context("nobody to choose from");
    }
    say("W1: choosing a peer's settings");
    let mut best: Option<(f64, Contender)> = None;
    for candidate in candidates {
        let speed = bench.drain(*candidate, jobs).await?.jobs_per_second;
        if best.is_none_or(|(fastest, _)| speed > fastest) {
            best = Some((speed, *candidate));
        }
    }
    Ok(best.context("nobody to choose from")?.1)
}

/// Adds what was measured of one contender; answers its jobs per second.
fn add_rows(bench: &mut Bench, contender: Contender, rounds: &[Drained]) -> f64 {
    let column = |of: fn(&Drained) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let (name, report) = (contender.name(), &mut bench.report);
    let speed = report.row(
        "W1",
        format!("drain, {name}"),
        "jobs/s",
        &column(|round| round.jobs_per_second),
        contender.settings(),
    );
    let (client, postgres) = (
        column(|round| round.client_cpu),
        column(|round| round.postgres_cpu),
    );
    let both: Vec<f64> = client.iter().zip(&postgres).map(|(a, b)| a + b).collect();
    let split = format!(
        "client {}, Postgres {}",
        number(crate::statistics::median(&client)),
        number(crate::statistics::median(&postgres))
    );
    report.row("W1", format!("CPU, {name}"), "s/10,000 jobs", &both, split);
    if let Some(last) = rounds.last() {
        let total = last.table_sizes.iter().map(|(_, bytes)| bytes).sum();
        let tables = last.table_sizes.iter().take(5);
        let tables: Vec<_> = tables
            .map(|(name, bytes)| format!("{name} {}", number(mebibytes(*bytes))))
            .collect();
        report.row(
            "W1",
            format!("tables afterwards, {name}"),
            "MiB",
            &[mebibytes(total)],
            tables.join(", "),
        );
    }
    speed
}
