//! Brings a database to the shape that this program needs.

use sqlx::PgPool;
use sqlx::migrate::{Migrate as _, MigrateError};

use crate::Error;
use crate::error::During as _;

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

/// Counts the migrations that the database lacks; changes nothing.
///
/// # Errors
/// [`Error::DatabaseNewer`] as for [`migrate`], [`Error::Migrate`] when the database cannot be read.
pub async fn missing_migrations(pool: &PgPool) -> Result<usize, Error> {
    let migrator = sqlx::migrate!("../../migrations");
    let mut conn = pool.acquire().await.during("read the applied migrations")?;
    let applied = match conn.list_applied_migrations("_sqlx_migrations").await {
        Ok(applied) => applied,
        // No such table: nothing was applied yet.
        Err(MigrateError::Execute(error)) if is_undefined_table(&error) => Vec::new(),
        Err(error) => return Err(Error::Migrate(error)),
    };
    let is_known = |version| {
        migrator
            .iter()
            .any(|migration| migration.version == version)
    };
    if let Some(newer) = applied
        .iter()
        .find(|migration| !is_known(migration.version))
    {
        return Err(Error::DatabaseNewer {
            version: newer.version,
        });
    }
    Ok(migrator.iter().count() - applied.len())
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "42P01")
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn migrating_again_changes_nothing() {
        let database = TestDatabase::new().await;

        migrate(database.pool()).await.unwrap();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the table is sqlx's own, not of our schema"
    )]
    #[tokio::test]
    async fn a_newer_database_is_refused() {
        let database = TestDatabase::new().await;
        let newer = r"
            INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (99991231000000, 'from the future', true, '', 0)
        ";
        sqlx::query(newer).execute(database.pool()).await.unwrap();

        let refused = migrate(database.pool()).await;

        assert!(matches!(
            refused,
            Err(Error::DatabaseNewer {
                version: 99_991_231_000_000
            })
        ));
    }
}
