//! `bench console`: how fast the pages are with a million jobs that wait and a million that ended.
//!
//! The console runs in a process of its own, on a durable Postgres. All pages are asked for by turns, so that what
//! disturbs one disturbs the others; a look is over when its last byte is there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jobs::delete_account::DeleteAccount;
use queue::NewJob;
use store::AccountId;

use crate::console::fill;
use crate::console::pages::{self, Page};
use crate::console::server::Console;
use crate::console::visitor::Visitor;
use crate::cpu;
use crate::profile;
use crate::report::Report;
use crate::server::{Database, Server};
use crate::sql;
use crate::statistics::{median, percentile};
use crate::workloads::{mebibytes, say};

/// Jobs that are enqueued to see when the overview knows them, in a queue that has no other.
const ENQUEUED: usize = 500;
/// What the overview may be behind, in milliseconds.
const MOST_BEHIND: f64 = 2_000.0;
/// Bytes of the heaviest page and of all that it loads; not even compressed.
const MOST_BYTES: f64 = 120_000.0;
/// How long the overview may take to know them, before we give up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A tenth of the rows, and fewer looks: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Write JSON to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
    /// Show where Postgres' time goes, and measure nothing else.
    #[arg(long)]
    profile: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let pick = |full: u32, quick: u32| if args.quick { quick } else { full };
    let (many, looks) = (pick(1_000_000, 100_000), pick(60, 15));
    let server = Server::start().await?;
    say(&format!(
        "console: {many} jobs that wait, {many} that ended"
    ));
    let database = fill::database(&server, many).await?;
    let pages = pages_of(&database).await?;
    if args.profile {
        return profile_of(&server, &database, &pages).await;
    }
    let mut report = Report::default();
    report.about.push(format!(
        "{} processors, load {} at the start; {}; {many} jobs wait, {many} ended, {} are dead",
        std::thread::available_parallelism().map_or(0, usize::from),
        super::load(),
        server.describe(),
        many / 50
    ));
    let console = Console::spawn(&database).await?;
    let visitor = Visitor::enter(console.port).await?;
    look(&visitor, &pages, looks, &mut report).await?;
    weigh(&visitor, &mut report).await?;
    let behind = until_counted(&visitor, &database).await?;
    let behind = report.row(
        "console",
        "from a commit until the overview counts it",
        "ms",
        &[behind],
        format!("{ENQUEUED} jobs"),
    );
    report.at_most(
        "ms from a commit until the overview counts it",
        behind,
        MOST_BEHIND,
    );
    let memory = i64::try_from(cpu::peak_bytes(console.pid()?)?).context("too many bytes")?;
    report.row(
        "console",
        "memory of the process, at most",
        "MiB",
        &[mebibytes(memory)],
        "",
    );
    console.stop().await?;
    database.drop().await?;
    report
        .about
        .push(format!("load {} at the end", super::load()));
    report.print(args.json)
}

async fn pages_of(database: &Database) -> Result<Vec<Page>> {
    let pool = database.pool(1).await?;
    let ids = sql::texts(
        &pool,
        "(SELECT id::text FROM syncline.jobs ORDER BY id LIMIT 1 OFFSET 50000)
         UNION ALL (SELECT id::text FROM syncline.dead_jobs ORDER BY id LIMIT 1 OFFSET 1000)
         UNION ALL (SELECT id::text FROM syncline.job_history ORDER BY id LIMIT 1 OFFSET 50000)",
    );
    let ids = ids.await?.concat();
    let group = "SELECT fingerprint FROM syncline.dead_jobs GROUP BY fingerprint ORDER BY count(*) DESC LIMIT 1";
    let group = sql::texts(&pool, group).await?.concat().concat();
    pool.close().await;
    ensure!(ids.len() == 3, "a job of each kind was asked for");
    Ok(pages::all(&ids, &group))
}

/// Every page by turns; the first turn is not counted.
async fn look(visitor: &Visitor, pages: &[Page], looks: u32, report: &mut Report) -> Result<()> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); pages.len()];
    for turn in 0..=looks {
        if turn % 5 == 0 {
            say(&format!("console: look {turn} of {looks}"));
        }
        for (page, times) in pages.iter().zip(&mut times) {
            let seen = visitor.look(&page.address).await?;
            if turn > 0 {
                times.push(seen.milliseconds);
            }
        }
    }
    for (page, times) in pages.iter().zip(&times) {
        let name = format!("/{}", page.address);
        let (middle, longest) = (median(times), percentile(times, 100));
        let note = format!("p50 {middle:.1}, longest {longest:.1}");
        let p95 = report.row(
            "console",
            format!("{name}, p95"),
            "ms",
            &[percentile(times, 95)],
            note,
        );
        if let Some(most) = page.most {
            report.at_most(format!("p95 in ms of {name}"), p95, most);
        }
    }
    Ok(())
}

/// The list of jobs and everything that a browser loads with it.
async fn weigh(visitor: &Visitor, report: &mut Report) -> Result<()> {
    let mut bytes = 0;
    for page in [
        "jobs",
        "assets/console.js",
        "assets/console.css",
        "assets/icon.svg",
    ] {
        bytes += visitor.look(page).await?.html.len();
    }
    let bytes = f64::from(u32::try_from(bytes)?);
    report.row(
        "console",
        "the list of jobs, with script, style and icon",
        "bytes",
        &[bytes],
        "not compressed",
    );
    report.at_most(
        "bytes of the list of jobs and all it loads",
        bytes,
        MOST_BYTES,
    );
    Ok(())
}

/// Milliseconds from the commit of many jobs until the overview counts them all.
async fn until_counted(visitor: &Visitor, database: &Database) -> Result<f64> {
    let pool = database.pool(1).await?;
    let mut tx = pool.begin().await?;
    for _ in 0..ENQUEUED {
        let account_id = AccountId::new();
        queue::enqueue(&mut *tx, &NewJob::new(&DeleteAccount { account_id })?).await?;
    }
    tx.commit().await?;
    let committed = Instant::now();
    let counted = format!("jobs?queue=interactive&amp;state=available\">{ENQUEUED}<");
    while !visitor.look("").await?.html.contains(&counted) {
        ensure!(
            committed.elapsed() < PATIENCE,
            "the overview does not count {ENQUEUED} jobs"
        );
    }
    let behind = committed.elapsed().as_secs_f64() * 1_000.0;
    pool.close().await;
    Ok(behind)
}

async fn profile_of(server: &Server, database: &Database, pages: &[Page]) -> Result<()> {
    database.count_statements().await?;
    let console = Console::spawn(database).await?;
    let visitor = Visitor::enter(console.port).await?;
    profile::begin(server).await?;
    for page in pages {
        visitor.look(&page.address).await?;
    }
    profile::tell(server, database).await?;
    console.stop().await
}
