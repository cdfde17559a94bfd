//! Who is in the console just now. The token itself is nowhere: only its SHA-256, by which it is found.
//!
//! What a session may do is never stored with it: each request asks its user or its key, so that a role that was
//! taken away, a user that was removed and a key that was revoked end at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::During;
use crate::users::Role;
use crate::{ApiKeyId, Error, UserId};

/// By what somebody logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Name and password.
    User(UserId),
    /// An API key.
    Key(ApiKeyId),
    /// The bootstrap key of the settings, by its SHA-256: another one there ends the session.
    Bootstrap([u8; 32]),
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From one request to the next.
    pub idle: Duration,
    /// From the login.
    pub total: Duration,
}

/// A session that is valid.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who is in it.
    pub holder: Holder,
    /// What the next page is to tell.
    pub notice: Option<String>,
    /// The database's clock at this request.
    pub now: DateTime<Utc>,
}

/// Who is in a session, and what they may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user.
    User {
        /// Their name.
        name: String,
        /// What they may do.
        role: Role,
    },
    /// An API key that is valid.
    Key {
        /// What people call it.
        name: String,
        /// The key's first characters.
        prefix: String,
        /// What it may do.
        scopes: Vec<String>,
    },
    /// The bootstrap key; the caller compares the digest with that of the key there is now.
    Bootstrap([u8; 32]),
}

/// Begins a session.
pub async fn begin(
    conn: &mut PgConnection,
    token_hash: &[u8; 32],
    owner: Owner,
) -> Result<(), Error> {
    let (user, key, bootstrap) = match owner {
        Owner::User(id) => (Some(id.0), None, None),
        Owner::Key(id) => (None, Some(id.0), None),
        Owner::Bootstrap(hash) => (None, None, Some(hash)),
    };
    sqlx::query!(
        r#"
        INSERT INTO syncline.sessions (token_hash, user_id, api_key_id, bootstrap_hash)
        VALUES ($1, $2, $3, $4)
        "#,
        token_hash,
        user as Option<Uuid>,
        key as Option<Uuid>,
        bootstrap.as_ref().map(<[u8; 32]>::as_slice)
    )
    .execute(conn)
    .await
    .during("begin a session")?;
    Ok(())
}

/// Finds a valid session, and notes once a minute that it is used. One that is over is none.
pub async fn find(
    conn: &mut PgConnection,
    token_hash: &[u8; 32],
    limits: Limits,
) -> Result<Option<Session>, Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            u.name AS "user_name?", u.role AS "role?: Role",
            k.name AS "key_name?", k.prefix AS "prefix?", k.scopes AS "scopes?",
            s.bootstrap_hash, s.notice, now() AS "now!", s.last_seen_at < now() - interval '1 minute' AS "is_stale!"
        FROM syncline.sessions s
        LEFT JOIN syncline.users u ON u.id = s.user_id
        LEFT JOIN syncline.api_keys k
            ON k.id = s.api_key_id
            AND k.revoked_at IS NULL
            AND (k.expires_at IS NULL OR k.expires_at > now())
        WHERE s.token_hash = $1
          AND s.last_seen_at > now() - make_interval(secs => $2)
          AND s.created_at > now() - make_interval(secs => $3)
        "#,
        token_hash,
        limits.idle.as_secs_f64(),
        limits.total.as_secs_f64()
    )
    .fetch_optional(&mut *conn)
    .await
    .during("find a session")?;
    let Some(row) = row else { return Ok(None) };
    let bootstrap = row.bootstrap_hash.and_then(|hash| hash.try_into().ok());
    let user = row.user_name.zip(row.role);
    let key = row.key_name.zip(row.prefix).zip(row.scopes);
    let holder = match (user, key, bootstrap) {
        (Some((name, role)), _, _) => Holder::User { name, role },
        (_, Some(((name, prefix), scopes)), _) => Holder::Key {
            name,
            prefix,
            scopes,
        },
        (_, _, Some(hash)) => Holder::Bootstrap(hash),
        // The key is not valid any more.
        (None, None, None) => return Ok(None),
    };
    if row.is_stale {
        touch(conn, token_hash).await?;
    }
    Ok(Some(Session {
        holder,
        notice: row.notice,
        now: row.now,
    }))
}

async fn touch(conn: &mut PgConnection, token_hash: &[u8; 32]) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.sessions SET last_seen_at = now() WHERE token_hash = $1",
        token_hash
    )
    .execute(conn)
    .await
    .during("note the use of a session")?;
    Ok(())
}

/// Says what the next page is to tell; `None`: it was told.
pub async fn set_notice(
    conn: &mut PgConnection,
    token_hash: &[u8; 32],
    notice: Option<&str>,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.sessions SET notice = $2 WHERE token_hash = $1",
        token_hash,
        notice
    )
    .execute(conn)
    .await
    .during("note what a session is to be told")?;
    Ok(())
}

/// Ends a session.
pub async fn end(conn: &mut PgConnection, token_hash: &[u8; 32]) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.sessions WHERE token_hash = $1",
        token_hash
    )
    .execute(conn)
    .await
    .during("end a session")?;
    Ok(())
}

/// Removes sessions that are over.
pub async fn delete_over(conn: &mut PgConnection, limits: Limits) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.sessions
        WHERE last_seen_at <= now() - make_interval(secs => $1)
           OR created_at <= now() - make_interval(secs => $2)
        "#,
        limits.idle.as_secs_f64(),
        limits.total.as_secs_f64()
    )
    .execute(conn)
    .await
    .during("remove sessions that are over")?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests;
