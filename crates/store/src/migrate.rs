//! Brings a database to the shape that this program needs.

use sqlx::PgPool;
use sqlx::migrate::MigrateError;

use crate::Error;

/// Applies the migrations that the database lacks, in order. Does nothing when there are none.
///
/// Several processes may call it at once: one migrates, the others wait.
///
/// # Errors
/// [`Error::DatabaseNewer`] when the database knows a migration that this program does not,
/// [`Error::Migrate`] when one fails.
pub async fn migrate(pool: &PgPool) -> Result<(), Error> {
    sqlx::migrate!("../../migrations")
        .run(pool)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(version) => Error::DatabaseNewer { version },
            other => Error::Migrate(other),
        })
}
