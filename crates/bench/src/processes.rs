//! Workers in processes of their own: this program again, with a hidden subcommand.
//!
//! The parent writes an order and then a word a line to the child's stdin; the child answers a line
//! each. When its stdin ends it drains and exits, so none outlives its parent.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use queue::Client;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::contenders::ours::{Context, Profile, Running};
use crate::ledger::{Ledger, Notes};

/// How long a child may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The database, with its password; that is why it is not on the command line.
    pub(crate) url: String,
    pub(crate) profile: Profile,
    /// Jobs that may come, numbered from zero.
    pub(crate) jobs: u64,
    /// Whom they call, if they call anybody.
    pub(crate) far_side: Option<SocketAddr>,
}

/// A worker process, seen from its parent. Dropped, it is killed.
pub(crate) struct WorkerProcess {
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl WorkerProcess {
    /// Starts the process and waits until it is connected; the worker begins with [`Self::go`].
    pub(crate) async fn spawn(order: &Order) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a worker process")?;
        let mut process = Self {
            stdin: child.stdin.take().context("it has no stdin")?,
            answers: BufReader::new(child.stdout.take().context("it has no stdout")?).lines(),
            child,
        };
        process.ask(&serde_json::to_string(order)?, "ready").await?;
        Ok(process)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("the worker process has ended")
    }

    /// Starts the worker.
    pub(crate) async fn go(&mut self) -> Result<()> {
        self.ask("go", "going").await
    }

    /// What its handlers have noted so far.
    pub(crate) async fn notes(&mut self) -> Result<Notes> {
        self.say("notes").await?;
        let answer = self.answer().await?;
        serde_json::from_str(&answer).context("cannot understand a worker process")
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .context("cannot kill a worker process")
    }

    /// Lets it drain and end.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        let status = timeout(PATIENCE, child.wait())
            .await
            .context("a worker process does not end")??;
        ensure!(status.success(), "a worker process ended with {status}");
        Ok(())
    }

    async fn ask(&mut self, line: &str, expected: &str) -> Result<()> {
        self.say(line).await?;
        let answer = self.answer().await?;
        ensure!(
            answer == expected,
            "a worker process said `{answer}` for `{expected}`"
        );
        Ok(())
    }

    async fn say(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        self.stdin
            .write_all(line.as_bytes())
            .await
            .context("a worker process does not listen")
    }

    async fn answer(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.answers.next_line())
            .await
            .context("a worker process does not answer")?;
        line?.context("a worker process ended without an answer")
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut lines = stdin_lines();
    let order = lines.recv().await.context("there is no order")?;
    let order: Order = serde_json::from_str(&order).context("cannot understand the order")?;
    // As many connections as a worker's handlers have by default, opened when needed.
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect(&order.url)
        .await
        .context("cannot connect")?;
    let ledger = Arc::new(Ledger::expecting(order.jobs));
    answer("ready")?;
    let mut running = None;
    while let Some(line) = lines.recv().await {
        match line.as_str() {
            "go" => {
                let client = Client::new(pool.clone());
                let mut context = Context::of(&ledger);
                context.far_side = order.far_side.unwrap_or(context.far_side);
                running = Some(Running::start(&client, order.profile, context).await?);
                answer("going")?;
            }
            "notes" => answer(&serde_json::to_string(&ledger.notes())?)?,
            other => anyhow::bail!("there is no order `{other}`"),
        }
    }
    match running {
        Some(running) => running.stop().await,
        None => Ok(()),
    }
}

/// Stdin can only be read by blocking.
pub(crate) fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn answer(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}
