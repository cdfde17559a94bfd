//! Workers in processes of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use queue::Client;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

use crate::child::{Child, Parent};
use crate::contenders::ours::{Context, Profile, Running};
use crate::ledger::{Ledger, Notes};

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
}

impl WorkerProcess {
    /// Starts the process and waits until it is connected; the worker begins with [`Self::go`].
    pub(crate) async fn spawn(order: &Order) -> Result<Self> {
        let mut child = Child::spawn("worker", order).await?;
        child.expect("ready").await?;
        Ok(Self { child })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.pid()
    }

    /// Starts the worker.
    pub(crate) async fn go(&mut self) -> Result<()> {
        self.child.ask("go", "going").await
    }

    /// What its handlers have noted so far.
    pub(crate) async fn notes(&mut self) -> Result<Notes> {
        self.child.say("notes").await?;
        let answer = self.child.answer().await?;
        serde_json::from_str(&answer).context("cannot understand a worker process")
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(self) -> Result<()> {
        self.child.kill().await
    }

    /// Lets it drain and end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut parent = Parent::listen();
    let order: Order = parent.order().await?;
    // As many connections as a worker's handlers have by default, opened when needed.
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect(&order.url)
        .await
        .context("cannot connect")?;
    let ledger = Arc::new(Ledger::expecting(order.jobs));
    parent.answer("ready")?;
    let mut running = None;
    while let Some(line) = parent.next().await {
        match line.as_str() {
            "go" => {
                let client = Client::new(pool.clone());
                let mut context = Context::of(&ledger);
                context.far_side = order.far_side.unwrap_or(context.far_side);
                running = Some(Running::start(&client, order.profile, context).await?);
                parent.answer("going")?;
            }
            "notes" => parent.answer(&serde_json::to_string(&ledger.notes())?)?,
            other => anyhow::bail!("there is no order `{other}`"),
        }
    }
    match running {
        Some(running) => running.stop().await,
        None => Ok(()),
    }
}
