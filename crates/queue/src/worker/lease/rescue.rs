//! Taking over from workers that are gone.

use std::time::Duration;

use sqlx::PgPool;

use crate::error::Error;

/// Declares silent workers dead and frees the lanes of all that have ended; answers how many lanes.
///
/// A job that was running counts the attempt: it is tried again later, or dead when it was its last. The
/// lanes' limiters are set as if the burst had just been used. Safe to run anywhere, by many at once.
///
/// The order of locks is that of everybody else: lanes first, then jobs. `FOR UPDATE` on a lane waits for
/// transactions that passed the fence (they hold `KEY SHARE`), and nothing can pass it afterwards.
pub(crate) async fn rescue(pool: &PgPool, limiter_exhausted: Duration) -> Result<u64, Error> {
    let mut tx = pool
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    sqlx::query!(
        r#"
        UPDATE syncline.workers
        SET state = 'dead', ended_at = now()
        WHERE id = ANY (ARRAY(
            SELECT id
            FROM syncline.workers
            WHERE state IN ('running', 'draining') AND lease_until < now()
            FOR UPDATE SKIP LOCKED
        ))
        "#
    )
    .execute(&mut *tx)
    .await
    .map_err(Error::database("declare workers dead"))?;
    let lanes = sqlx::query_scalar!(
        r#"
        SELECT lane
        FROM syncline.lanes
        WHERE owner IS NOT NULL
          AND owner IN (SELECT id FROM syncline.workers WHERE state IN ('stopped', 'dead'))
        ORDER BY lane
        FOR UPDATE SKIP LOCKED
        "#
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("lock the lanes of dead workers"))?;
    if !lanes.is_empty() {
        sqlx::query_file!("src/worker/lease/bury_crashed.sql", &lanes)
            .execute(&mut *tx)
            .await
            .map_err(Error::database("move crashed jobs to the dead"))?;
        sqlx::query_file!("src/worker/lease/put_back_crashed.sql", &lanes)
            .execute(&mut *tx)
            .await
            .map_err(Error::database("put crashed jobs back"))?;
        sqlx::query!(
            r#"
            UPDATE syncline.lanes
            SET owner = NULL,
                epoch = epoch + 1,
                due_at = greatest(now(), coalesce(blocked_until, now())),
                limiter_tat = now() + make_interval(secs => $2)
            WHERE lane = ANY ($1)
            "#,
            &lanes,
            limiter_exhausted.as_secs_f64(),
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("free the lanes of dead workers"))?;
    }
    tx.commit().await.map_err(Error::database("rescue lanes"))?;
    Ok(lanes.len() as u64)
}
