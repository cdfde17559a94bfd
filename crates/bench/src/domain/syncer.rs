//! Our worker, as the service runs it, in a process of its own.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use syncline::worker;
use tokio::task::JoinSet;
use url::Url;

use crate::child::{Child, Parent};
use crate::server::Database;
use crate::service;

/// What the child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The database, with its password.
    url: String,
    far_side: Url,
}

/// The worker, seen from its parent. Dropped, it is killed.
pub(crate) struct Syncer {
    child: Child,
}

impl Syncer {
    /// Starts the process and waits until it is connected; the worker begins with [`Self::go`].
    pub(crate) async fn spawn(database: &Database, far_side: &Url) -> Result<Self> {
        let order = Order {
            url: database.url(),
            far_side: far_side.clone(),
        };
        let mut child = Child::spawn("syncer", &order).await?;
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

    /// Lets it drain and end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut parent = Parent::listen();
    let order: Order = parent.order().await?;
    let variables = [
        ("MERGE_API_BASE", order.far_side.as_str()),
        // The far side has no limit, so ours is out of the way; everything else is at its default.
        ("SYNCLINE__MERGE__REQUESTS_PER_MINUTE", "1000000"),
        ("SYNCLINE__MERGE__BURST", "500000"),
    ];
    let app = service::app(&order.url, &variables).await?;
    parent.answer("ready")?;
    let mut working = JoinSet::new();
    while parent.next().await.is_some() {
        working.spawn(worker::run(app.clone(), app.shutdown.clone()));
        parent.answer("going")?;
    }
    app.shutdown.cancel();
    while let Some(worked) = working.join_next().await {
        worked??;
    }
    Ok(())
}
