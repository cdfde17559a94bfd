//! `bench webhooks`: receiving webhooks, beside what a receiver can do at most.
//!
//! Bodies of 2 KB, each different and signed while it is sent, over 64 connections that are kept open. Contenders take
//! turns, a fresh database each; the sender, the receiver and Postgres share this machine.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::cpu;
use crate::report::Report;
use crate::server::{Database, Server};
use crate::sql;
use crate::statistics::median;
use crate::webhooks::load::{Load, Pace};
use crate::webhooks::receiver::{Contender, Order, Receiver};
use crate::webhooks::schema;
use crate::workloads::{count, mebibytes, say};

/// Connections of the sender.
const CONNECTIONS: usize = 64;
/// Webhooks a second where the pace is steady.
const STEADY: u32 = 500;
/// Deliveries that wait already when the pace is steady, so that the workers are busy.
const BACKLOG: i32 = 200_000;

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Smaller numbers and fewer rounds: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Write JSON to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
}

struct Bench {
    server: Server,
    template: Database,
    report: Report,
    is_quick: bool,
}

/// One contender's rounds.
#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    /// p50, p99, p99.9 and the longest, in milliseconds.
    latency: [Vec<f64>; 4],
    /// Seconds of processor time for 10,000 webhooks: receiver, Postgres, sender.
    cpu: [Vec<f64>; 3],
    commits: Vec<f64>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let server = Server::start().await?;
    let template = schema::template(&server).await?;
    let mut bench = Bench {
        report: Report::default(),
        server,
        template,
        is_quick: args.quick,
    };
    bench.report.about.push(format!(
        "{} processors, load {} at the start; {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        super::load(),
        bench.server.describe()
    ));
    bench.closed_loop().await?;
    bench.steady().await?;
    bench.memory().await?;
    bench
        .report
        .about
        .push(format!("load {} at the end", super::load()));
    bench.report.print(args.json)
}

impl Bench {
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    /// As many as the receiver takes, one after another on each connection.
    async fn closed_loop(&mut self) -> Result<()> {
        let length = self.pick(Duration::from_secs(10), Duration::from_secs(3));
        let mut rounds: Vec<Rounds> = Contender::ALL.iter().map(|_| Rounds::default()).collect();
        for round in 1..=self.pick(5, 2) {
            say(&format!("webhooks: round {round}"));
            for (contender, rounds) in Contender::ALL.into_iter().zip(&mut rounds) {
                self.one_round(contender, length, rounds).await?;
            }
        }
        let mut rates = Vec::new();
        let mut tails = Vec::new();
        for (contender, rounds) in Contender::ALL.into_iter().zip(&rounds) {
            rates.push(self.add(contender, rounds));
            tails.push(median(&rounds.latency[1]));
        }
        let [_, each, narrow, ours, draining] = rates[..] else {
            anyhow::bail!("five contenders take part");
        };
        let report = &mut self.report;
        report.at_least("webhooks/s (c) / (b')", ours / narrow, 0.8);
        report.at_least("webhooks/s (c) / (b)", ours / each, 2.5);
        report.at_most("p99 (c) / (b')", tails[3] / tails[2], 1.5);
        report.at_least("webhooks/s (d) / (c)", draining / ours, 0.5);
        Ok(())
    }

    async fn one_round(
        &self,
        contender: Contender,
        length: Duration,
        rounds: &mut Rounds,
    ) -> Result<()> {
        let database = self.server.copy(&self.template).await?;
        let receiver = Receiver::spawn(&Order::of(contender, &database)).await?;
        let load = Load::at(receiver.port, CONNECTIONS);
        load.run(Pace::AsFastAsAnswered, length / 5).await?; // warm
        let (before, receivers_before) = (self.server.cpu()?, cpu::seconds(receiver.pid()?)?);
        let taken = load.run(Pace::AsFastAsAnswered, length).await?;
        let used = self.server.cpu()?.since(before);
        let receivers = cpu::seconds(receiver.pid()?)? - receivers_before;
        receiver.stop().await?;
        let number = count(taken.latencies_ms.len());
        let per_second = number / taken.seconds;
        let [p50, p99, p999, longest] = taken.percentiles();
        rounds.per_second.push(per_second);
        for (values, value) in rounds.latency.iter_mut().zip([p50, p99, p999, longest]) {
            values.push(value);
        }
        let cpu = [receivers, used.postgres, used.client];
        for (values, seconds) in rounds.cpu.iter_mut().zip(cpu) {
            values.push(seconds / number * 10_000.0);
        }
        let commits = contender.commits(&database).await?;
        rounds.commits.push(commits);
        database.drop().await?;
        say(&format!(
            "  {:<32} {per_second:>8.0}/s   p50 {p50:.2} ms   p99 {p99:.2} ms   {commits:.4} commits each",
            contender.name()
        ));
        Ok(())
    }

    /// Answers the median rate.
    fn add(&mut self, contender: Contender, rounds: &Rounds) -> f64 {
        let name = contender.name();
        let report = &mut self.report;
        let rate = report.row("closed", name, "webhooks/s", &rounds.per_second, "");
        let names = ["p50", "p99", "p99.9", "longest"];
        for (which, values) in names.into_iter().zip(&rounds.latency) {
            report.row("closed", format!("{name}, {which}"), "ms", values, "");
        }
        let whose = ["receiver", "Postgres", "sender"];
        for (whose, values) in whose.into_iter().zip(&rounds.cpu) {
            let what = format!("{name}, processor time of the {whose} for 10,000");
            report.row("closed", what, "s", values, "");
        }
        let what = format!("{name}, commits for each webhook");
        report.row("closed", what, "", &rounds.commits, "");
        rate
    }

    /// A pace that is far from the limit, while the workers have much to do.
    async fn steady(&mut self) -> Result<()> {
        let length = self.pick(Duration::from_mins(1), Duration::from_secs(10));
        let database = self.server.copy(&self.template).await?;
        schema::add_backlog(&database, self.pick(BACKLOG, BACKLOG / 10)).await?;
        let receiver = Receiver::spawn(&Order::of(Contender::OursDraining, &database)).await?;
        let load = Load::at(receiver.port, CONNECTIONS);
        load.run(Pace::PerSecond(STEADY), Duration::from_secs(1))
            .await?;
        let taken = load.run(Pace::PerSecond(STEADY), length).await?;
        receiver.stop().await?;
        let pool = database.pool(1).await?;
        let judged = "SELECT count(*) FROM syncline.webhook_deliveries WHERE verdict <> 'received'";
        let judged = sql::number(&pool, judged).await?;
        pool.close().await;
        database.drop().await?;
        let [p50, p99, p999, longest] = taken.percentiles();
        let note = format!("{judged} judged meanwhile");
        for (which, value) in [
            ("p50", p50),
            ("p99", p99),
            ("p99.9", p999),
            ("longest", longest),
        ] {
            let what = format!("{STEADY}/s, workers busy, {which}");
            self.report
                .row("steady", what, "ms", &[value], note.clone());
        }
        let report = &mut self.report;
        report.at_most(format!("p50 at {STEADY}/s, workers busy, ms"), p50, 2.0);
        report.at_most(format!("p99 at {STEADY}/s, workers busy, ms"), p99, 10.0);
        Ok(())
    }

    /// Full load for long: does the process grow?
    async fn memory(&mut self) -> Result<()> {
        let (warm, length) = self.pick(
            (Duration::from_mins(1), Duration::from_mins(9)),
            (Duration::from_secs(5), Duration::from_secs(15)),
        );
        let database = self.server.copy(&self.template).await?;
        let receiver = Receiver::spawn(&Order::of(Contender::OursDraining, &database)).await?;
        let load = Load::at(receiver.port, CONNECTIONS);
        load.run(Pace::AsFastAsAnswered, warm).await?;
        let resident = || -> Result<f64> {
            let bytes = cpu::resident_bytes(receiver.pid()?)?;
            Ok(mebibytes(i64::try_from(bytes)?))
        };
        let before = resident()?;
        load.run(Pace::AsFastAsAnswered, length).await?;
        // What is under way is answered.
        sleep(Duration::from_millis(100)).await;
        let after = resident()?;
        receiver.stop().await?;
        database.drop().await?;
        let report = &mut self.report;
        report.row(
            "memory",
            "receiver and worker, at full load, warm",
            "MiB",
            &[before],
            "",
        );
        let note = format!("{} s later", length.as_secs());
        report.row("memory", "the same, later", "MiB", &[after], note);
        report.at_most("memory after / before", after / before, 1.1);
        Ok(())
    }
}
