//! Processes of a benchmark's own: this program again, with a hidden subcommand.
//!
//! The parent writes an order and then a word a line to the child's stdin; the child answers a line each. When its
//! stdin ends it stops what it does and exits, so none outlives its parent.

use std::io::{BufRead as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a child may take to answer, or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A child, seen from its parent. Dropped, it is killed.
pub(crate) struct Child {
    process: tokio::process::Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts it and hands it its order, which may hold secrets: it is not on the command line.
    pub(crate) async fn spawn(subcommand: &str, order: &impl Serialize) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = Command::new(program)
            .arg(subcommand)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start a process for `{subcommand}`"))?;
        let mut child = Self {
            stdin: process.stdin.take().context("it has no stdin")?,
            answers: BufReader::new(process.stdout.take().context("it has no stdout")?).lines(),
            process,
        };
        child.say(&serde_json::to_string(order)?).await?;
        Ok(child)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.id().context("a child process has ended")
    }

    /// Says a word, and waits for the one that is expected.
    pub(crate) async fn ask(&mut self, line: &str, expected: &str) -> Result<()> {
        self.say(line).await?;
        self.expect(expected).await
    }

    /// Waits for the word that is expected.
    pub(crate) async fn expect(&mut self, expected: &str) -> Result<()> {
        let answer = self.answer().await?;
        ensure!(
            answer == expected,
            "a child process said `{answer}` instead of `{expected}`"
        );
        Ok(())
    }

    pub(crate) async fn say(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        self.stdin
            .write_all(line.as_bytes())
            .await
            .context("a child process does not listen")
    }

    pub(crate) async fn answer(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.answers.next_line())
            .await
            .context("a child process does not answer")?;
        line?.context("a child process ended without an answer")
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(mut self) -> Result<()> {
        let killed = self.process.kill().await;
        killed.context("cannot kill a child process")
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self {
            mut process, stdin, ..
        } = self;
        drop(stdin);
        let status = timeout(PATIENCE, process.wait())
            .await
            .context("a child process does not end")??;
        ensure!(status.success(), "a child process ended with {status}");
        Ok(())
    }
}

/// The child's side: what its parent says, the order first.
pub(crate) struct Parent {
    lines: mpsc::Receiver<String>,
}

impl Parent {
    /// Listens to it. Stdin can only be read by blocking, so a thread does.
    pub(crate) fn listen() -> Self {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// The order.
    pub(crate) async fn order<T: DeserializeOwned>(&mut self) -> Result<T> {
        let order = self.next().await.context("there is no order")?;
        serde_json::from_str(&order).context("cannot understand the order")
    }

    /// The next word; `None` when it is time to end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// Answers it.
    #[expect(clippy::unused_self, reason = "nobody else writes to stdout")]
    pub(crate) fn answer(&self, line: &str) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
        Ok(())
    }
}
