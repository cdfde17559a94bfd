//! The least that shared commits can cost: everything that arrived while one commit was under way goes into the next.

use anyhow::{Context as _, Result};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::sql;

/// As many as there are connections to the sender would do.
const MOST: usize = 512;

#[derive(Clone)]
pub(super) struct Group(mpsc::Sender<Waiting>);

type Waiting = (Uuid, oneshot::Sender<bool>);

impl Group {
    #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
    pub(super) fn start(pool: PgPool) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(MOST);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while receiver.recv_many(&mut batch, MOST).await > 0 {
                let (ids, waiting): (Vec<Uuid>, Vec<_>) = batch.drain(..).unzip();
                let is_kept = sql::insert_narrow(&pool, &ids).await.is_ok();
                for one in waiting {
                    let _ = one.send(is_kept);
                }
            }
        });
        Self(sender)
    }

    pub(super) async fn keep(&self, id: Uuid) -> Result<()> {
        let (sender, answer) = oneshot::channel();
        self.0.send((id, sender)).await.context("nobody writes")?;
        let is_kept = answer.await.context("nobody answers")?;
        anyhow::ensure!(is_kept, "the commit failed");
        Ok(())
    }
}
