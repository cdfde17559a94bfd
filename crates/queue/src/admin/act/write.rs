//! The statements behind the actions. Each takes many jobs, does what can be done, and answers for which.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Edit, Request};
use crate::{
    error::Error,
    ids::{JobId, Queue},
    job::chain,
    registry::Registry,
};

/// Dead jobs live again.
pub(crate) async fn revive(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!("src/admin/act/revive.sql", ids, Queue::SYNC.as_str())
        .fetch_all(tx)
        .await
        .map_err(Error::database("retry dead jobs"))
}

/// What became of ended jobs that were to run again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// The new jobs.
    pub(crate) added: Vec<Uuid>,
    /// Those nobody here can make a new job of, and why.
    pub(crate) unknown: Vec<(Uuid, String)>,
}

/// New jobs like ended ones.
pub(crate) async fn enqueue_again<C: Send + Sync + 'static>(
    tx: &mut PgConnection,
    registry: &Registry<C>,
    ids: &[Uuid],
) -> Result<Again, Error> {
    let ended = sqlx::query!(
        r#"
        SELECT id, kind, payload::text AS "payload!"
        FROM syncline.job_history
        WHERE id = ANY ($1)
        ORDER BY id
        "#,
        ids
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("read ended jobs"))?;
    let mut again = Again::default();
    let (mut new_ids, mut old_ids) = (Vec::new(), Vec::new());
    let (mut unique_keys, mut limit_keys) = (Vec::new(), Vec::new());
    let mut while_running = Vec::new();
    for job in ended {
        match registry.keys(&job.kind, &job.payload) {
            Err(error) => again.unknown.push((job.id, chain(&error))),
            Ok(keys) => {
                new_ids.push(JobId::generate().0);
                old_ids.push(job.id);
                unique_keys.push(keys.unique);
                limit_keys.push(keys.limit);
                while_running.push(keys.is_unique_while_running);
            }
        }
    }
    again.added = sqlx::query_file_scalar!(
        "src/admin/act/again.sql",
        &new_ids,
        &old_ids,
        &unique_keys as _,
        &limit_keys as _,
        &while_running,
        Queue::SYNC.as_str(),
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("enqueue ended jobs again"))?;
    Ok(again)
}

/// Waiting jobs are due at once.
pub(crate) async fn run_now(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    move_jobs(tx, ids, true, Edit::default()).await
}

/// Waiting jobs get another time or priority.
pub(crate) async fn edit(
    tx: &mut PgConnection,
    ids: &[Uuid],
    edit: Edit,
) -> Result<Vec<Uuid>, Error> {
    move_jobs(tx, ids, false, edit).await
}

async fn move_jobs(
    tx: &mut PgConnection,
    ids: &[Uuid],
    is_now: bool,
    edit: Edit,
) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!(
        "src/admin/act/move.sql",
        ids,
        is_now,
        edit.run_at,
        edit.priority,
        Queue::SYNC.as_str(),
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("move jobs"))
}

/// Waiting jobs end as cancelled.
pub(crate) async fn cancel_waiting(
    tx: &mut PgConnection,
    ids: &[Uuid],
    request: &Request,
) -> Result<Vec<Uuid>, Error> {
    remove_waiting(tx, ids, Some(request.of_cancelled())).await
}

/// Waiting jobs vanish.
pub(crate) async fn delete_waiting(
    tx: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, Error> {
    remove_waiting(tx, ids, None).await
}

async fn remove_waiting(
    tx: &mut PgConnection,
    ids: &[Uuid],
    reason: Option<String>,
) -> Result<Vec<Uuid>, Error> {
    // Keys first, as those who enqueue do; and while they are locked their jobs cannot start.
    sqlx::query!(
        r#"
        SELECT k.job_id
        FROM syncline.jobs j
        JOIN syncline.unique_keys k
            ON k.kind = j.kind AND k.unique_key = j.unique_key AND k.job_id = j.id
        WHERE j.id = ANY ($1)
        ORDER BY k.kind, k.unique_key
        FOR UPDATE OF k
        "#,
        ids
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::database("lock the unique keys of jobs"))?;
    sqlx::query_file_scalar!("src/admin/act/remove_waiting.sql", ids, reason)
        .fetch_all(tx)
        .await
        .map_err(Error::database("remove waiting jobs"))
}

/// Dead jobs vanish.
pub(crate) async fn delete_dead(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    sqlx::query_file_scalar!("src/admin/act/remove_dead.sql", ids)
        .fetch_all(tx)
        .await
        .map_err(Error::database("delete dead jobs"))
}

/// The workers of running jobs are asked to stop them. The first who asked is the one remembered.
pub(crate) async fn ask_to_stop(
    tx: &mut PgConnection,
    ids: &[Uuid],
    request: &Request,
) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO syncline.cancellations (job_id, requested_by, reason)
        SELECT id, $2, $3
        FROM syncline.jobs
        WHERE id = ANY ($1) AND started_at IS NOT NULL
        ORDER BY id
        ON CONFLICT (job_id) DO UPDATE SET job_id = excluded.job_id
        RETURNING job_id
        "#,
        ids,
        request.by,
        request.reason,
    )
    .fetch_all(tx)
    .await
    .map_err(Error::database("ask for the end of running jobs"))
}
