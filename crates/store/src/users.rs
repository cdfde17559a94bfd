//! People who may use the console. Passwords are nowhere: only what Argon2id makes of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::During;
use crate::{Error, UserId};

/// What somebody may do; each may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    sqlx::Type,
    utoipa::ToSchema,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Put things right: retry, cancel, pause, replay.
    Operator,
    /// Everything, also what cannot be undone.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A user, without the password's hash.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// What they type to log in.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When they were added.
    pub created_at: DateTime<Utc>,
    /// When they last logged in.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// Adds a user; `None` when the name is taken.
pub async fn add(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    password_hash: &str,
) -> Result<Option<UserId>, Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO syncline.users (id, name, role, password_hash)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO NOTHING
        RETURNING id AS "id: UserId"
        "#,
        UserId::new() as UserId,
        name,
        role as Role,
        password_hash
    )
    .fetch_optional(conn)
    .await
    .during("add a user")
}

/// The users by name, at most a thousand.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<User>, Error> {
    sqlx::query_as!(
        User,
        r#"
        SELECT id AS "id: UserId", name, role AS "role: Role", created_at, last_login_at
        FROM syncline.users
        ORDER BY name
        LIMIT 1000
        "#
    )
    .fetch_all(conn)
    .await
    .during("list the users")
}

/// A user with what their password is checked against.
#[derive(Debug)]
pub struct Credentials {
    /// The user's id.
    pub id: UserId,
    /// A PHC string.
    pub password_hash: String,
}

/// What the password of the user of this name is checked against; `None` when there is none.
pub async fn credentials(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<Credentials>, Error> {
    sqlx::query_as!(
        Credentials,
        r#"SELECT id AS "id: UserId", password_hash FROM syncline.users WHERE name = $1"#,
        name
    )
    .fetch_optional(conn)
    .await
    .during("find a user")
}

/// Gives a user another password and ends all their sessions; false when there is no such user.
pub async fn set_password(
    conn: &mut PgConnection,
    name: &str,
    password_hash: &str,
) -> Result<bool, Error> {
    let ended = sqlx::query_scalar!(
        r#"
        WITH changed AS (
            UPDATE syncline.users SET password_hash = $2 WHERE name = $1 RETURNING id
        ),
        ended AS (
            DELETE FROM syncline.sessions USING changed WHERE user_id = changed.id
        )
        SELECT count(*) AS "count!" FROM changed
        "#,
        name,
        password_hash
    )
    .fetch_one(conn)
    .await
    .during("change a password")?;
    Ok(ended == 1)
}

/// Removes a user, and with them their sessions; false when there is no such user.
pub async fn remove(conn: &mut PgConnection, name: &str) -> Result<bool, Error> {
    let removed = sqlx::query!("DELETE FROM syncline.users WHERE name = $1", name)
        .execute(conn)
        .await
        .during("remove a user")?;
    Ok(removed.rows_affected() == 1)
}

/// Failures that a name may have before its next login has to wait.
const FREE_FAILURES: i32 = 4;

/// For how long a name has to wait until its next login is looked at: a second after the fifth failure, twice as long
/// after each further one, a minute at most. Failures are forgotten after a quarter of an hour without one.
pub async fn login_wait(conn: &mut PgConnection, name: &str) -> Result<Duration, Error> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT extract(
            epoch FROM last_failed_at + make_interval(secs => least(60, 2 ^ least(failures - $2 - 1, 10))) - now()
        )::float8 AS "seconds!"
        FROM syncline.login_failures
        WHERE name = $1
          AND failures > $2
          AND last_failed_at > now() - interval '15 minutes'
        "#,
        name,
        FREE_FAILURES
    )
    .fetch_optional(conn)
    .await
    .during("look at failed logins")?;
    Ok(Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default())
}

/// Notes a login that failed, and forgets old ones.
pub async fn note_failed_login(conn: &mut PgConnection, name: &str) -> Result<(), Error> {
    sqlx::query!(
        r#"
        WITH forgotten AS (
            DELETE FROM syncline.login_failures
            WHERE name <> $1 AND last_failed_at <= now() - interval '15 minutes'
        )
        INSERT INTO syncline.login_failures AS f (name, failures, last_failed_at)
        VALUES ($1, 1, now())
        ON CONFLICT (name) DO UPDATE
        SET failures = CASE WHEN f.last_failed_at > now() - interval '15 minutes' THEN f.failures + 1 ELSE 1 END,
            last_failed_at = now()
        "#,
        name
    )
    .execute(conn)
    .await
    .during("note a failed login")?;
    Ok(())
}

/// Notes a login that succeeded.
pub async fn note_login(conn: &mut PgConnection, id: UserId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        WITH them AS (
            UPDATE syncline.users SET last_login_at = now() WHERE id = $1 RETURNING name
        )
        DELETE FROM syncline.login_failures f USING them WHERE f.name = them.name
        "#,
        id as UserId
    )
    .execute(conn)
    .await
    .during("note a login")?;
    Ok(())
}

#[cfg(test)]
mod tests;
