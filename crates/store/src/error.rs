//! What can go wrong in the store.

use crate::{AccountId, KeyringError};

/// A failed operation on the domain's tables.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A statement failed; `operation` says which, in the words of the code.
    #[error("cannot {operation}")]
    Database {
        /// What was attempted.
        operation: &'static str,
        /// Postgres' or the connection's own report.
        #[source]
        source: sqlx::Error,
    },
    /// The account, or the model of it, is no longer there: it was deleted meanwhile.
    #[error("linked account {0} is gone")]
    AccountGone(AccountId),
    /// The window is no longer open: it was closed or dropped meanwhile.
    #[error("the window of `{model_id}` of linked account {account_id} is not open")]
    WindowNotOpen {
        /// The account.
        account_id: AccountId,
        /// The model.
        model_id: String,
    },
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The database was migrated by a newer release than this one.
    #[error(
        "the database is newer than this program: it has migration {version}, which this program does not know; \
         run the newer release"
    )]
    DatabaseNewer {
        /// The first unknown migration, `YYYYMMDDhhmmss`.
        version: i64,
    },
    /// A migration failed; those before it are applied.
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl Error {
    /// Whether the same statement may succeed when tried again: the connection broke, the server is
    /// starting or stopping, or another transaction was in the way.
    pub fn is_transient(&self) -> bool {
        let Self::Database { source, .. } = self else {
            return false;
        };
        match source {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                ["08", "40", "53", "55", "57"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}

/// Names the operation that failed, with `?`-able brevity.
pub(crate) trait During<T> {
    /// Wraps the error as the failure of `operation`, which follows "cannot".
    fn during(self, operation: &'static str) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, operation: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Database { operation, source })
    }
}
