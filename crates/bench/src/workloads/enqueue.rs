//! W2: enqueueing one job a commit from 8 clients, and a thousand jobs a statement from one.
//!
//! The limit is an INSERT of the same payload into a table with nothing but a primary key.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use queue::Client;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::contenders::ours::Profile;
use crate::contenders::{Contender, by_hand, ours, river, stock};
use crate::ledger::Payload;
use crate::server::Database;
use crate::sql;
use crate::workloads::drain::LANES;
use crate::workloads::{Bench, count, say};

/// Who enqueue side by side.
const CLIENTS: u32 = 8;
/// Jobs of one statement.
const BATCH: usize = 1_000;

/// Whose INSERT; the settings of a contender do not matter here.
const CONTENDERS: [Contender; 4] = [
    Contender::Ours(Profile::BULK),
    Contender::ByHand(by_hand::Settings {
        clients: CLIENTS,
        is_overlapped: false,
        batch: 1,
    }),
    Contender::Stock(stock::Settings {
        batch: 1,
        workers: 0,
    }),
    Contender::River(river::Settings { workers: 0 }),
];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let singles = Payload::many(bench.pick(16_000, 4_000), LANES);
    let bulk = Payload::many(bench.pick(50_000, 10_000), LANES);
    let (mut one_by_one, mut by_thousands) = ([const { vec![] }; 4], [const { vec![] }; 4]);
    for round in 1..=bench.pick(5, 2) {
        say(&format!("W2: round {round}"));
        for (at, contender) in CONTENDERS.into_iter().enumerate() {
            let single = enqueue(bench, contender, &singles, Way::OneByOne).await?;
            let many = enqueue(bench, contender, &bulk, Way::ByThousands).await?;
            one_by_one[at].push(single);
            by_thousands[at].push(many);
            say(&format!(
                "  {:<16} one by one {single:>8.0}/s   by thousands {many:>8.0}/s",
                contender.name()
            ));
        }
    }
    add(bench, "one by one, 8 clients", &one_by_one);
    add(bench, "by thousands", &by_thousands);
    Ok(())
}

fn add(bench: &mut Bench, how: &str, rounds: &[Vec<f64>; 4]) {
    let mut medians = Vec::new();
    for (contender, rounds) in CONTENDERS.iter().zip(rounds) {
        let what = format!("enqueue {how}, {}", contender.name());
        medians.push(bench.report.row("W2", what, "jobs/s", rounds, ""));
    }
    let ratio = medians[0] / medians[1];
    bench
        .report
        .at_least(format!("W2 enqueue {how} / plain INSERT"), ratio, 0.6);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    OneByOne,
    ByThousands,
}

/// Enqueues all jobs into a fresh database; answers jobs per second.
async fn enqueue(bench: &Bench, who: Contender, jobs: &[Payload], way: Way) -> Result<f64> {
    let database = bench.server.copy(bench.templates.of(who)).await?;
    let seconds = match way {
        Way::OneByOne => one_by_one(&database, who, jobs).await?,
        Way::ByThousands => by_thousands(&database, who, jobs).await?,
    };
    let table = match who {
        Contender::Ours(_) => "syncline.jobs",
        Contender::ByHand(_) => "jobs",
        Contender::Stock(_) => "apalis.jobs",
        Contender::River(_) => "river_job",
    };
    let pool = database.pool(1).await?;
    let stored = sql::number(&pool, &format!("SELECT count(*) FROM {table}")).await?;
    pool.close().await;
    ensure!(
        usize::try_from(stored) == Ok(jobs.len()),
        "{}: {stored} of {} jobs are stored",
        who.name(),
        jobs.len()
    );
    database.drop().await?;
    Ok(count(jobs.len()) / seconds)
}

async fn one_by_one(database: &Database, who: Contender, jobs: &[Payload]) -> Result<f64> {
    let pool = database.pool(CLIENTS).await?;
    let jobs = Arc::new(jobs.to_vec());
    let ours = Client::new(pool.clone());
    let river = riverqueue::Client::builder(pool.clone()).build()?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS as usize {
        let (jobs, pool) = (Arc::clone(&jobs), pool.clone());
        let (ours, river) = (ours.clone(), river.clone());
        clients.spawn(async move {
            let mine = jobs.iter().skip(first).step_by(CLIENTS as usize);
            enqueue_each(who, &pool, &ours, &river, mine).await
        });
    }
    while let Some(client) = clients.join_next().await {
        client.context("a client panicked")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    pool.close().await;
    Ok(seconds)
}

/// One client.
async fn enqueue_each(
    who: Contender,
    pool: &PgPool,
    ours: &Client,
    river: &riverqueue::Client,
    jobs: impl Iterator<Item = &Payload>,
) -> Result<()> {
    if let Contender::River(_) = who {
        // It takes its connections from the pool itself.
        for job in jobs {
            river::insert_one(river, job).await?;
        }
        return Ok(());
    }
    let mut connection = pool.acquire().await?;
    for job in jobs {
        match who {
            Contender::Ours(_) => ours::enqueue_one(ours, &mut connection, job).await?,
            Contender::ByHand(_) => by_hand::insert_one(&mut connection, job).await?,
            Contender::Stock(_) => {
                stock::push(&mut connection, std::slice::from_ref(job)).await?;
            }
            Contender::River(_) => {}
        }
    }
    Ok(())
}

async fn by_thousands(database: &Database, who: Contender, jobs: &[Payload]) -> Result<f64> {
    let pool = database.pool(2).await?;
    let river = riverqueue::Client::builder(pool.clone()).build()?;
    let mut connection = pool.acquire().await?;
    let begun = Instant::now();
    for batch in jobs.chunks(BATCH) {
        match who {
            Contender::Ours(_) => ours::enqueue_many(&mut connection, batch).await?,
            Contender::ByHand(_) => by_hand::insert_many(&mut connection, batch).await?,
            Contender::Stock(_) => stock::push(&mut connection, batch).await?,
            Contender::River(_) => river::insert_many(&river, batch).await?,
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(connection);
    pool.close().await;
    Ok(seconds)
}
