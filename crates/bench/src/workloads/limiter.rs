//! W8: 20 accounts, each with a limit of 60 requests a minute, worked by four processes of which one
//! is killed now and then.
//!
//! The far side is a TCP listener in this process that notes when each account called: it counts what
//! arrives, not what anybody believes to have sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use queue::NewJob;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock;
use crate::contenders::ours::{Call, Profile};
use crate::processes::{Order, WorkerProcess};
use crate::server::Database;
use crate::statistics::most_in_any;
use crate::workloads::{Bench, count, say};

const ACCOUNTS: u32 = 20;
const PROCESSES: usize = 4;
/// What the far side allows an account in any minute.
const PER_MINUTE: u32 = 60;
const BURST: u32 = 1;
/// What the workers get to claim their first lanes.
const START: Duration = Duration::from_secs(2);

/// How long, how often somebody dies, and the window that is counted.
#[derive(Debug, Clone, Copy)]
struct Plan {
    runs_for: Duration,
    kill_every: Duration,
    window: Duration,
    lease: Duration,
}

const FULL: Plan = Plan {
    runs_for: Duration::from_mins(5),
    kill_every: Duration::from_secs(80),
    window: Duration::from_mins(1),
    lease: Duration::from_secs(6),
};

/// Too short for a minute's window, so a third of one is counted.
const QUICK: Plan = Plan {
    runs_for: Duration::from_secs(26),
    kill_every: Duration::from_secs(14),
    window: Duration::from_secs(20),
    lease: Duration::from_secs(2),
};

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let plan = bench.pick(FULL, QUICK);
    let far_side = FarSide::open().await?;
    let database = bench.server.copy(&bench.templates.ours).await?;
    load(&database, plan).await?;
    database.settle().await?;
    say(&format!(
        "W8: {PROCESSES} processes for {:?}",
        plan.runs_for
    ));
    let kills = work(&database, &far_side, plan).await?;
    database.drop().await?;

    let calls = far_side.calls();
    let most = (0..ACCOUNTS).map(|account| {
        let times = calls.get(&account).map_or(&[][..], Vec::as_slice);
        most_in_any(plan.window, times)
    });
    let most = count(most.max().unwrap_or(0));
    let share = plan.window.as_secs_f64() / 60.0;
    let allowed = f64::from(PER_MINUTE) * share;
    let all: usize = calls.values().map(Vec::len).sum();
    let minutes = plan.runs_for.as_secs_f64() / 60.0;
    let allowance = f64::from(PER_MINUTE * ACCOUNTS) * minutes;
    let used = count(all) / allowance;

    let report = &mut bench.report;
    let note = format!(
        "{ACCOUNTS} accounts, {PER_MINUTE} a minute, burst {BURST}, {PROCESSES} processes, {kills} killed, lease {} s",
        plan.lease.as_secs()
    );
    let what = format!(
        "most calls of an account in any {} s",
        plan.window.as_secs()
    );
    report.row("W8", what, "calls", &[most], note);
    let note = format!("{all} calls in {} s", plan.runs_for.as_secs());
    report.row("W8", "share of the allowance used", "", &[used], note);
    report.at_most(
        format!("W8 calls in any {} s, worst account", plan.window.as_secs()),
        most,
        allowed,
    );
    report.at_least("W8 share of the allowance used", used, 0.95);
    Ok(())
}

/// More jobs for each account than can be run.
async fn load(database: &Database, plan: Plan) -> Result<()> {
    let each = plan.runs_for.as_secs() * 2;
    let mut connection = database.connect().await?;
    for account in 0..ACCOUNTS {
        let jobs: Vec<_> = (0..each)
            .map(|_| NewJob::new(&Call { account }))
            .collect::<Result<_, _>>()?;
        queue::enqueue_many(&mut connection, &jobs).await?;
    }
    Ok(())
}

/// Runs the processes, kills one after another and replaces it; answers how many were killed.
async fn work(database: &Database, far_side: &FarSide, plan: Plan) -> Result<u32> {
    let order = Order {
        url: database.url(),
        profile: Profile {
            per_minute: PER_MINUTE,
            burst: BURST,
            lease: plan.lease,
            ..Profile::DEFAULT
        },
        jobs: 0,
        far_side: Some(far_side.address),
    };
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(started(&order).await?);
    }
    sleep(START).await;
    far_side.forget();
    let begun = Instant::now();
    let mut kills = 0;
    loop {
        let left = plan.runs_for.saturating_sub(begun.elapsed());
        if left < plan.kill_every {
            sleep(left).await;
            break;
        }
        sleep(plan.kill_every).await;
        // The oldest: it has had time to claim its share of the lanes.
        workers.remove(0).kill().await?;
        kills += 1;
        say(&format!("W8: killed one after {:.1?}", begun.elapsed()));
        workers.push(started(&order).await?);
    }
    far_side.close();
    for worker in workers {
        worker.kill().await?;
    }
    ensure!(kills > 0, "nobody was killed");
    Ok(kills)
}

async fn started(order: &Order) -> Result<WorkerProcess> {
    let mut worker = WorkerProcess::spawn(order).await?;
    worker.go().await?;
    Ok(worker)
}

/// When each account called.
type Calls = HashMap<u32, Vec<Duration>>;

/// The listener and what it noted.
struct FarSide {
    address: SocketAddr,
    /// None once closed: later calls are not counted.
    calls: Arc<Mutex<(bool, Calls)>>,
    _listening: JoinSet<()>,
}

impl FarSide {
    async fn open() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot listen")?;
        let address = listener.local_addr()?;
        let calls = Arc::new(Mutex::new((true, Calls::new())));
        let noted = Arc::clone(&calls);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut answering = JoinSet::new();
            while let Ok((call, _)) = listener.accept().await {
                answering.spawn(answer(call, Arc::clone(&noted)));
                while answering.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            calls,
            _listening: listening,
        })
    }

    /// Counting starts now.
    fn forget(&self) {
        self.lock().1.clear();
    }

    /// Counting ends now.
    fn close(&self) {
        self.lock().0 = false;
    }

    fn calls(&self) -> Calls {
        self.lock().1.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (bool, Calls)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(mut call: TcpStream, calls: Arc<Mutex<(bool, Calls)>>) {
    let Ok(account) = call.read_u32().await else {
        return;
    };
    {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.0 {
            calls.1.entry(account).or_default().push(clock::now());
        }
    }
    // A caller that was killed does not mind.
    let _ = call.write_u8(1).await;
}
