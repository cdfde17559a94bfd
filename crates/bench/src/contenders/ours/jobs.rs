//! The jobs our queue runs here, and what their handlers may touch.

use std::net::SocketAddr;
use std::sync::Arc;

use queue::{Attempt, Failure, Job, Lane, Queue};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ledger::{Ledger, Payload};

/// A job that only says that it ran.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Noop(pub(crate) Payload);

impl Job for Noop {
    type Context = Context;
    type Error = Failure;
    const KIND: &'static str = "noop";
    const QUEUE: Queue = Queue::SYNC;

    fn lane(&self) -> Lane {
        lane(self.0.account)
    }

    async fn run(&self, context: &Context, _attempt: &mut Attempt) -> Result<(), Failure> {
        context.ledger.note(self.0.number);
        Ok(())
    }
}

/// A job that makes one request to the far side, when its lane's limit lets it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) account: u32,
}

impl Job for Call {
    type Context = Context;
    type Error = Failure;
    const KIND: &'static str = "call";
    const QUEUE: Queue = Queue::SYNC;

    fn lane(&self) -> Lane {
        lane(self.account)
    }

    async fn run(&self, context: &Context, attempt: &mut Attempt) -> Result<(), Failure> {
        let permit = attempt.throttle().await?;
        let called = async {
            let mut far_side = TcpStream::connect(context.far_side).await?;
            far_side.write_u32(self.account).await?;
            far_side.read_u8().await
        };
        called.await.map_err(|error| Failure::Retry {
            error: error.into(),
            class: "far_side",
            http_status: None,
        })?;
        permit.succeeded();
        Ok(())
    }
}

/// What handlers may touch.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) ledger: Arc<Ledger>,
    /// Whom [`Call`] calls.
    pub(crate) far_side: SocketAddr,
}

impl Context {
    /// For jobs that call nobody.
    pub(crate) fn of(ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            far_side: SocketAddr::from(([127, 0, 0, 1], 9)),
        }
    }
}

/// The lane of an account; named as real ones are.
pub(crate) fn lane(account: u32) -> Lane {
    Lane::account(uuid::Uuid::from_u128(
        0x019a_0000_0000_7000_8000_0000_0000_0000 | u128::from(account),
    ))
}
