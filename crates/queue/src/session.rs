//! A connection that one task of the queue keeps for its own statements.
//!
//! Not of a pool: handlers that use up theirs cannot stop the worker, nothing is asked of the server before and
//! after each statement, and the plans and caches of one backend stay warm.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::time::timeout;

use crate::error::Error;

/// How long a task waits for its statements before it goes on without their answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// At the server.
const SETTINGS: [(&str, &str); 6] = [
    // In milliseconds: before we lose our patience, and although we may be gone.
    ("statement_timeout", "9000"),
    ("lock_timeout", "5000"),
    ("idle_in_transaction_session_timeout", "9000"),
    // The planner knows nothing of the arrays our statements are given, and a queue's tables are empty at
    // one moment and huge at the next: one plan for all, by the indexes.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// One connection, opened when it is needed and again after each error.
#[derive(Debug)]
pub(crate) struct Session {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Session {
    /// With the database that a pool leads to.
    pub(crate) fn like(pool: &PgPool) -> Self {
        Self {
            options: (*pool.connect_options()).clone().options(SETTINGS),
            connection: None,
        }
    }

    /// The connection, to be given back by [`Session::keep`] when all went well.
    ///
    /// After an error, or when its holder is cut off on the way, it just goes, and with it a transaction that was
    /// begun. What takes effect all the same, without our hearing of it, is for the caller to find.
    pub(crate) async fn take(&mut self) -> Result<PgConnection, Error> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        patiently("connect", async {
            PgConnection::connect_with(&self.options)
                .await
                .map_err(Error::database("connect"))
        })
        .await
    }

    pub(crate) fn keep(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }

    /// Says goodbye to the server.
    pub(crate) async fn close(self) {
        if let Some(connection) = self.connection {
            // Nobody depends on it.
            let _ = timeout(PATIENCE, connection.close()).await;
        }
    }
}

/// Waits for an answer, but only so long: the server would have ended the statement, so its other end is gone without
/// a word.
pub(crate) async fn patiently<T>(
    operation: &'static str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or(Err(Error::Database {
            operation,
            source: sqlx::Error::PoolTimedOut,
        }))
}
