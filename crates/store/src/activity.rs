//! What the database is busy with.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::Error;
use crate::error::During;

/// The database at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Its clock.
    pub now: DateTime<Utc>,
    /// How long the oldest transaction in it is open: prepared ones, and those of others that we may see, too. While it
    /// is, no dead row that is younger can be removed.
    pub oldest_transaction: Duration,
}

/// Looks at the server's own list of sessions; no table is read.
pub async fn look(conn: &mut PgConnection) -> Result<Activity, Error> {
    let seen = sqlx::query!(
        r#"
        SELECT
            now() AS "now!",
            greatest(extract(epoch FROM now() - least(
                (
                    SELECT min(xact_start)
                    FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                ),
                (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database())
            )), 0)::float8 AS "oldest_seconds!"
        "#
    )
    .fetch_one(conn)
    .await
    .during("look what the database is busy with")?;
    Ok(Activity {
        now: seen.now,
        oldest_transaction: Duration::try_from_secs_f64(seen.oldest_seconds).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn an_open_transaction_ages_and_one_that_has_ended_does_not() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let mut other = database.pool().acquire().await.unwrap();
        let mut tx = other.begin().await.unwrap();
        let began = sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
            .fetch_one(&mut *tx)
            .await
            .unwrap();

        let open = look(&mut conn).await.unwrap();
        tx.rollback().await.unwrap();
        let ended = look(&mut conn).await.unwrap();

        let age = (open.now - began).to_std().unwrap();
        assert!(
            open.oldest_transaction.abs_diff(age) < Duration::from_millis(1),
            "{open:?} {age:?}"
        );
        assert!(!age.is_zero());
        assert_eq!(ended.oldest_transaction, Duration::ZERO);
    }
}
