//! Link tokens on their way from the job that got them to the request that waits, encrypted to its key.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::error::During;

/// Keeps a sealed token under the job that got it; a later one replaces it.
pub async fn put(
    conn: &mut PgConnection,
    job_id: Uuid,
    sealed: &[u8],
    lifetime: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        INSERT INTO syncline.sealed_link_tokens (job_id, sealed, expires_at)
        VALUES ($1, $2, now() + make_interval(secs => $3))
        ON CONFLICT (job_id) DO UPDATE SET
            sealed = excluded.sealed,
            expires_at = excluded.expires_at
        "#,
        job_id,
        sealed,
        lifetime.as_secs_f64()
    )
    .execute(conn)
    .await
    .during("keep a sealed link token")?;
    Ok(())
}

/// Takes a sealed token away: it is read once. `None` when it is not there, or has expired.
pub async fn take(conn: &mut PgConnection, job_id: Uuid) -> Result<Option<Vec<u8>>, Error> {
    let taken = sqlx::query!(
        r#"
        DELETE FROM syncline.sealed_link_tokens
        WHERE job_id = $1
        RETURNING sealed, expires_at > now() AS "is_valid!"
        "#,
        job_id
    )
    .fetch_optional(conn)
    .await
    .during("take a sealed link token")?;
    Ok(taken
        .filter(|taken| taken.is_valid)
        .map(|taken| taken.sealed))
}

/// Erases the expired ones; returns how many.
pub async fn delete_expired(conn: &mut PgConnection) -> Result<u64, Error> {
    let deleted = sqlx::query!("DELETE FROM syncline.sealed_link_tokens WHERE expires_at <= now()")
        .execute(conn)
        .await
        .during("erase expired link tokens")?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_token_is_read_once() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let job = Uuid::now_v7();
        put(&mut conn, job, b"first", MINUTE).await.unwrap();
        put(&mut conn, job, b"second", MINUTE).await.unwrap();

        assert_eq!(
            take(&mut conn, job).await.unwrap(),
            Some(b"second".to_vec())
        );
        assert_eq!(take(&mut conn, job).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_expired_token_is_not_given_and_is_erased() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let (read, unread) = (Uuid::now_v7(), Uuid::now_v7());
        put(&mut conn, read, b"late", Duration::ZERO).await.unwrap();
        put(&mut conn, unread, b"late", Duration::ZERO)
            .await
            .unwrap();

        assert_eq!(take(&mut conn, read).await.unwrap(), None);
        assert_eq!(delete_expired(&mut conn).await.unwrap(), 1);
    }
}
