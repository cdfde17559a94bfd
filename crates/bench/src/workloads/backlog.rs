//! W4: W1 with a million jobs scheduled for tomorrow, in the same lanes, and a million in history.
//!
//! The tables are filled once; between rounds they are vacuumed, and history grows by what was drained.

use anyhow::Result;

use crate::contenders::ours;
use crate::fill::{self, Waiting};
use crate::workloads::drain::LANES;
use crate::workloads::{Bench, count, drain, say};

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let jobs = drain::jobs(bench);
    let many = bench.pick(1_000_000, 100_000);
    say("W4: filling the tables");
    let database = bench.server.copy(&bench.templates.ours).await?;
    let scheduled = Waiting {
        jobs: many,
        first_number: 0,
        lanes: LANES,
        first_account: 0,
        run_at: "now() + interval '1 day'",
    };
    scheduled.fill(&database).await?;
    fill::finished(&database, many, LANES).await?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    let mut done = 0;
    for round in 1..=bench.pick(5, 2) {
        say(&format!("W4: round {round}"));
        empty.push(bench.drain(bench.ours(), &jobs).await?.jobs_per_second);
        ours::load(&database, &jobs).await?;
        database.settle().await?;
        let took = ours::work_off(&database, jobs.len() as u64, bench.bulk).await?;
        done += jobs.len() as u64;
        ours::check_history(&database, done).await?;
        full.push(count(jobs.len()) / took.as_secs_f64());
        say(&format!(
            "  with a backlog   {:>8.0} jobs/s",
            full[full.len() - 1]
        ));
    }
    database.drop().await?;
    let report = &mut bench.report;
    let without = report.row("W4", "drain, tables empty but for it", "jobs/s", &empty, "");
    let note = format!("{many} scheduled for tomorrow in the same lanes, {many} finished");
    let with = report.row(
        "W4",
        "drain, with backlog and history",
        "jobs/s",
        &full,
        note,
    );
    report.at_least("W4 drain with backlog / W1", with / without, 0.9);
    Ok(())
}
