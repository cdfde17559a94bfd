//! What was asked before under an `Idempotency-Key`.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::error::During;

/// Where a key counts: two owners, or two routes, may use the same key.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    /// Whose it is: the organization, or the API key that may act for all.
    pub owner: &'a str,
    /// The route, as in the router.
    pub route: &'a str,
    /// What the caller chose.
    pub key: &'a str,
}

/// What a key stood for already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The job of the first request.
    pub job_id: Uuid,
    /// The digest of the first request; another one now is the caller's mistake.
    pub request_digest: Vec<u8>,
}

/// Notes a key, in the transaction that enqueues the job; `None`: it is new.
///
/// `Some`: it was used before. Then roll back, so that nothing is enqueued twice, and answer with the earlier
/// job. Of two requests at once the second waits here until the first has committed.
pub async fn insert_or_get(
    conn: &mut PgConnection,
    key: IdempotencyKey<'_>,
    request_digest: &[u8],
    job_id: Uuid,
) -> Result<Option<Earlier>, Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO syncline.idempotency_keys (owner, route, key, request_digest, job_id)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (owner, route, key) DO NOTHING
        "#,
        key.owner,
        key.route,
        key.key,
        request_digest,
        job_id
    )
    .execute(&mut *conn)
    .await
    .during("note an idempotency key")?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    find(conn, key).await
}

/// What a key stands for; `None` when it was not used yet.
pub async fn find(
    conn: &mut PgConnection,
    key: IdempotencyKey<'_>,
) -> Result<Option<Earlier>, Error> {
    sqlx::query_as!(
        Earlier,
        r#"
        SELECT job_id, request_digest
        FROM syncline.idempotency_keys
        WHERE owner = $1
          AND route = $2
          AND key = $3
        "#,
        key.owner,
        key.route,
        key.key
    )
    .fetch_optional(conn)
    .await
    .during("read an idempotency key")
}

/// Puts another job under a key, if the one that is there is still `old_job_id`; false when it is not.
///
/// For answers that must not be given twice: a repeat makes a job of its own. Of two repeats at once the
/// second waits here until the first has committed, and then finds another job.
pub async fn replace(
    conn: &mut PgConnection,
    key: IdempotencyKey<'_>,
    old_job_id: Uuid,
    job_id: Uuid,
) -> Result<bool, Error> {
    let replaced = sqlx::query!(
        r#"
        UPDATE syncline.idempotency_keys
        SET job_id = $5
        WHERE owner = $1
          AND route = $2
          AND key = $3
          AND job_id = $4
        "#,
        key.owner,
        key.route,
        key.key,
        old_job_id,
        job_id
    )
    .execute(conn)
    .await
    .during("replace the job of an idempotency key")?;
    Ok(replaced.rows_affected() == 1)
}

/// Forgets keys older than `age`, at most `limit`; returns how many.
pub async fn delete_old(conn: &mut PgConnection, age: Duration, limit: u32) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.idempotency_keys
        WHERE (owner, route, key) IN (
            SELECT owner, route, key
            FROM syncline.idempotency_keys
            WHERE created_at < now() - make_interval(secs => $1)
            ORDER BY created_at
            LIMIT $2
        )
        "#,
        age.as_secs_f64(),
        i64::from(limit)
    )
    .execute(conn)
    .await
    .during("forget idempotency keys")?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;

    const KEY: IdempotencyKey<'_> = IdempotencyKey {
        owner: "acme",
        route: "/link",
        key: "k1",
    };

    #[tokio::test]
    async fn the_same_key_leads_to_the_first_job() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());

        assert_eq!(
            insert_or_get(&mut conn, KEY, b"digest", first)
                .await
                .unwrap(),
            None
        );
        let again = insert_or_get(&mut conn, KEY, b"other", second)
            .await
            .unwrap();

        let earlier = Earlier {
            job_id: first,
            request_digest: b"digest".to_vec(),
        };
        assert_eq!(again, Some(earlier));
    }

    #[tokio::test]
    async fn a_key_counts_for_its_owner_and_route_only() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let others = [
            KEY,
            IdempotencyKey {
                owner: "other",
                ..KEY
            },
            IdempotencyKey { route: "/x", ..KEY },
        ];

        for key in others {
            let earlier = insert_or_get(&mut conn, key, b"digest", Uuid::now_v7())
                .await
                .unwrap();
            assert_eq!(earlier, None);
        }
    }

    #[tokio::test]
    async fn a_job_is_replaced_only_by_who_knows_it() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let (first, second, third) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        insert_or_get(&mut conn, KEY, b"digest", first)
            .await
            .unwrap();

        assert!(replace(&mut conn, KEY, first, second).await.unwrap());
        assert!(!replace(&mut conn, KEY, first, third).await.unwrap());

        assert_eq!(find(&mut conn, KEY).await.unwrap().unwrap().job_id, second);
    }

    #[tokio::test]
    async fn a_key_rolled_back_is_free() {
        let database = TestDatabase::new().await;
        let mut tx = database.pool().begin().await.unwrap();
        insert_or_get(&mut tx, KEY, b"digest", Uuid::now_v7())
            .await
            .unwrap();
        tx.rollback().await.unwrap();

        let mut conn = database.pool().acquire().await.unwrap();
        let earlier = insert_or_get(&mut conn, KEY, b"digest", Uuid::now_v7())
            .await
            .unwrap();

        assert_eq!(earlier, None);
    }

    #[tokio::test]
    async fn old_keys_are_forgotten() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        insert_or_get(&mut conn, KEY, b"digest", Uuid::now_v7())
            .await
            .unwrap();

        assert_eq!(
            delete_old(&mut conn, Duration::from_hours(1), 10)
                .await
                .unwrap(),
            0
        );
        assert_eq!(delete_old(&mut conn, Duration::ZERO, 10).await.unwrap(), 1);
    }
}
