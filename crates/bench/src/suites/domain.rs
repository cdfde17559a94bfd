//! `bench domain`: first syncs of many accounts by one process, beside what Postgres can store at most.
//!
//! The far side is the sandbox, in a process of its own, without limits; its share of the processor is named, since on
//! this machine it takes from us what Merge would not. By hand, the very pages that we stored are stored again, already
//! in memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cpu;
use crate::domain::MODELS;
use crate::domain::accounts;
use crate::domain::far_side::FarSide;
use crate::domain::pages::{self, Page};
use crate::domain::syncer::Syncer;
use crate::profile;
use crate::report::Report;
use crate::server::{Database, Server};
use crate::sql;
use crate::workloads::{mebibytes, say};

/// How long all first syncs may take.
const PATIENCE: Duration = Duration::from_mins(30);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(250);
/// What the process may have in use, in MiB.
const MOST_MEMORY: f64 = 250.0;

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fewer accounts and one round: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Write JSON to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
    /// Show where Postgres' time goes in one round, and measure nothing else.
    #[arg(long)]
    profile: bool,
}

struct Bench {
    server: Server,
    far_side: FarSide,
    template: Database,
    accounts: u32,
    records: u32,
    report: Report,
}

/// What the rounds measured.
#[derive(Default)]
struct Rounds {
    ours: Vec<f64>,
    by_hand: Vec<f64>,
    /// Seconds of processor time for 10,000 records: our process, Postgres, the far side.
    cpu: [Vec<f64>; 3],
    /// Of all processor time, the far side's.
    share: Vec<f64>,
    /// MiB: before the first fetch, and at most.
    memory: [Vec<f64>; 2],
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let pick = |full: u32, quick: u32| if args.quick { quick } else { full };
    // As many of each model as a full page of Merge holds.
    let (accounts, records_per_account) = (pick(1_000, 100), 1_000);
    let server = Server::start().await?;
    let far_side = FarSide::spawn(records_per_account).await?;
    say(&format!("domain: linking {accounts} accounts"));
    let template = accounts::template(&server, &far_side, accounts).await?;
    let mut bench = Bench {
        server,
        far_side,
        template,
        accounts,
        records: accounts * records_per_account,
        report: Report::default(),
    };
    bench.report.about.push(format!(
        "{} processors, load {} at the start; {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        super::load(),
        bench.server.describe()
    ));
    if args.profile {
        return bench.profile().await;
    }
    let mut rounds = Rounds::default();
    let mut pages = Arc::default();
    for round in 1..=pick(3, 1) {
        say(&format!("domain: round {round}"));
        bench.one_round(&mut rounds, &mut pages).await?;
    }
    bench.tell(&rounds);
    bench.far_side.stop().await?;
    let loaded = format!("load {} at the end", super::load());
    bench.report.about.push(loaded);
    bench.report.print(args.json)
}

impl Bench {
    /// First ours, then by hand, each in a database of its own.
    async fn one_round(&self, rounds: &mut Rounds, pages: &mut Arc<Vec<Page>>) -> Result<()> {
        let database = self.server.copy(&self.template).await?;
        self.sync(&database, rounds).await?;
        if pages.is_empty() {
            *pages = Arc::new(pages::read(&database).await?);
        }
        database.drop().await?;
        let database = self.server.copy(&self.template).await?;
        let took = pages::store(&database, pages).await?;
        database.drop().await?;
        rounds
            .by_hand
            .push(f64::from(self.records) / took.as_secs_f64());
        if let (Some(ours), Some(by_hand)) = (rounds.ours.last(), rounds.by_hand.last()) {
            say(&format!(
                "  ours {ours:.0} records/s   by hand {by_hand:.0} records/s"
            ));
        }
        Ok(())
    }

    async fn profile(self) -> Result<()> {
        let database = self.server.copy(&self.template).await?;
        database.count_statements().await?;
        profile::begin(&self.server).await?;
        self.sync(&database, &mut Rounds::default()).await?;
        profile::tell(&self.server, &database).await?;
        database.drop().await?;
        self.far_side.stop().await
    }

    async fn sync(&self, database: &Database, rounds: &mut Rounds) -> Result<()> {
        let pool = database.pool(1).await?;
        let mut syncer = Syncer::spawn(database, &self.far_side.base_url).await?;
        let pid = syncer.pid()?;
        let memory_before = megabytes(cpu::resident_bytes(pid)?)?;
        let processor = || -> Result<[f64; 3]> {
            Ok([
                cpu::seconds(pid)?,
                self.server.cpu()?.postgres,
                cpu::seconds(self.far_side.pid()?)?,
            ])
        };
        let before = processor()?;
        let begun = sql::texts(&pool, "SELECT now()::text")
            .await?
            .concat()
            .concat();
        syncer.go().await?;
        let models = self.accounts * u32::try_from(MODELS.len())?;
        let left = format!(
            "SELECT {models} - count(*) FROM syncline.model_syncs WHERE fetched_through IS NOT NULL"
        );
        sql::until_none(&pool, &left, LOOK, PATIENCE).await?;
        let after = processor()?;
        let took = format!(
            "SELECT (extract(epoch FROM max(finished_at) - '{begun}') * 1000000)::bigint
             FROM syncline.fetch_windows"
        );
        let took = Duration::from_micros(sql::number(&pool, &took).await?.try_into()?);
        let stored = sql::number(&pool, "SELECT count(*) FROM syncline.model_records").await?;
        ensure!(
            stored == i64::from(self.records),
            "{stored} of {} records were stored",
            self.records
        );
        let memory_after = megabytes(cpu::peak_bytes(pid)?)?;
        syncer.stop().await?;
        pool.close().await;

        let records = f64::from(self.records);
        rounds.ours.push(records / took.as_secs_f64());
        let mut used = [0.0; 3];
        for at in 0..used.len() {
            used[at] = after[at] - before[at];
            rounds.cpu[at].push(used[at] / records * 10_000.0);
        }
        rounds.share.push(used[2] / used.iter().sum::<f64>());
        rounds.memory[0].push(memory_before);
        rounds.memory[1].push(memory_after);
        Ok(())
    }

    fn tell(&mut self, rounds: &Rounds) {
        let (accounts, models) = (self.accounts, MODELS.len());
        let what = format!(
            "{accounts} accounts × {models} models, {} records",
            self.records
        );
        let report = &mut self.report;
        let ours = report.row("first", "ours", "records/s", &rounds.ours, what.clone());
        let by_hand = report.row(
            "first",
            "the same pages from memory, by hand",
            "records/s",
            &rounds.by_hand,
            "16 connections",
        );
        let whose = ["our process", "Postgres", "the far side"];
        for (whose, values) in whose.into_iter().zip(&rounds.cpu) {
            let what = format!("ours, processor time of {whose} for 10,000");
            report.row("first", what, "s", values, "");
        }
        let share = report.row("first", "the far side's share of it", "", &rounds.share, "");
        let names = ["before the first fetch", "at most"];
        let memory = names.into_iter().zip(&rounds.memory);
        let [before, most] = memory
            .map(|(when, values)| {
                report.row("memory", format!("our process, {when}"), "MiB", values, "")
            })
            .collect::<Vec<_>>()[..]
        else {
            return;
        };
        let each = (most - before) * 1_024.0 * 1_024.0 / f64::from(accounts);
        let note = format!("{accounts} accounts in their first sync");
        report.row(
            "memory",
            "our process, for each account",
            "bytes",
            &[each],
            note,
        );
        report.at_least("records/s, ours / by hand", ours / by_hand, 0.6);
        let name = format!("memory at most, MiB, {what}");
        report.at_most(name, most, MOST_MEMORY);
        let corrected = ours / (1.0 - share);
        let what = "ours, had the far side taken nothing";
        let note = "ours / (1 - share)";
        report.row("first", what, "records/s", &[corrected], note);
    }
}

fn megabytes(bytes: u64) -> Result<f64> {
    let bytes = i64::try_from(bytes).context("too many bytes")?;
    Ok(mebibytes(bytes))
}
