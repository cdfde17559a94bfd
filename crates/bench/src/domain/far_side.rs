//! The simulated Merge, in a process of its own, so that its processor time can be told from ours.
//!
//! Its clock stands still, so nothing changes while it is read; it limits nobody.

use anyhow::{Context as _, Result};
use merge_sandbox::{AccountPlan, ClockMode, ControlClient, Options, Sandbox, Schedule};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{API_KEY, MODELS};
use crate::child::{Child, Parent};

/// What the child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    records_per_account: u32,
}

/// The far side, seen from its parent. Dropped, it is killed.
pub(crate) struct FarSide {
    child: Child,
    pub(crate) base_url: Url,
    pub(crate) control: ControlClient,
}

impl FarSide {
    /// Starts the process and waits until it listens.
    pub(crate) async fn spawn(records_per_account: u32) -> Result<Self> {
        let order = Order {
            records_per_account,
        };
        let mut child = Child::spawn("far-side", &order).await?;
        let base_url: Url = child.answer().await?.parse()?;
        Ok(Self {
            control: ControlClient::new(&base_url)?,
            base_url,
            child,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.pid()
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut parent = Parent::listen();
    let order: Order = parent.order().await?;
    let sandbox = Sandbox::start(Options {
        api_key: API_KEY.to_owned(),
        clock: ClockMode::Manual("2026-02-03T09:00:00Z".parse()?),
        requests_per_minute: None,
        has_error_budget: false,
        schedule: Schedule {
            sync_interval: None,
            ..Schedule::default()
        },
        plan: AccountPlan {
            models: Some(MODELS.map(str::to_owned).to_vec()),
            records_per_account: order.records_per_account,
            ..AccountPlan::default()
        },
        ..Options::default()
    })
    .await
    .context("cannot start the sandbox")?;
    parent.answer(sandbox.base_url().as_str())?;
    while parent.next().await.is_some() {}
    sandbox.stop().await;
    Ok(())
}
