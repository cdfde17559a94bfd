//! The second wall between organizations, in the database itself.
//!
//! The first wall is the condition on the organization in each query. The second is for the query that forgets it: in a
//! transaction that has [`enter`]ed the name of an organization, statements run as a role without rights of its own, for
//! which row-level security leaves nothing but that organization's rows. Without an organization it sees none at all, and
//! tables that it has no business with are closed to it.
//!
//! Workers do not enter: they run as the owner of the tables, whom the policies do not concern, so that nothing is checked
//! per row. Nor do keys that may act for every organization. What is enqueued, and what a receiver of webhooks writes,
//! belongs to the queue and to everybody; so a request enters to look and to write what is its own, and [`leave`]s before
//! it enqueues.
//!
//! The role is one for all databases of a server. Whoever migrates makes it, if he may; if not, an administrator does, once,
//! and until then the wall is down, and [`put_wall`] says so.

use sqlx::PgConnection;

use crate::Error;
use crate::error::During;

/// Puts the wall up if it is not, and if this user may; false: it is down.
pub async fn put_wall(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar!(r#"SELECT syncline.put_tenant_wall() AS "is_up!""#)
        .fetch_one(conn)
        .await
        .during("put up the wall between organizations")
}

/// Whether this user may [`enter`]: was granted the role, or the wall is down.
pub async fn may_enter(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'syncline.linked_accounts'::regclass)
            OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_tenant' AND pg_has_role(oid, 'MEMBER'))
            AS "may_enter!"
        "#
    )
    .fetch_one(conn)
    .await
    .during("look for the right to act in the name of an organization")
}

/// From here to the end of the transaction, or until [`leave`], only what is this organization's is there; false: the
/// wall is down, and everything is.
///
/// # Errors
/// [`Error::Database`], also when this user was not granted the role.
pub async fn enter(conn: &mut PgConnection, organization_id: &str) -> Result<bool, Error> {
    let role = sqlx::query_scalar!(
        r#"
        SELECT CASE
            WHEN set_config('syncline.organization', $1, true) IS NOT NULL
                AND EXISTS (SELECT FROM pg_policy WHERE polrelid = 'syncline.linked_accounts'::regclass)
            THEN set_config('role', 'syncline_tenant', true)
        END
        "#,
        organization_id
    )
    .fetch_one(conn)
    .await
    .during("act in the name of an organization")?;
    Ok(role.is_some())
}

/// Back to our own rights, within the same transaction.
pub async fn leave(conn: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("SELECT set_config('role', 'none', true) AS role")
        .fetch_one(conn)
        .await
        .during("act in our own name")?;
    Ok(())
}

/// Whether a job is the organization's that was entered.
pub async fn has_job(conn: &mut PgConnection, job_id: uuid::Uuid) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM syncline.tenant_jobs WHERE id = $1) AS "is_there!""#,
        job_id
    )
    .fetch_one(conn)
    .await
    .during("look for a job")
}

#[cfg(test)]
mod tests;
