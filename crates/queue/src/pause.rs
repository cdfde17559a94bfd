//! Pausing: whose jobs are not started until somebody says so, or a time has come.
//!
//! A pause is a row; workers read all of them at least once a second, and at once when woken. What runs is
//! not stopped. Pauses outlive every process.
//!
//! Lanes with nothing but paused jobs are due when the first pause ends, or never; resuming makes them due.
//! The order of locks is pauses, then lanes: letting a lane go takes both, so that none is forgotten (see
//! [`crate::worker::release`]).

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use sqlx::{PgConnection, PgPool};

use crate::{
    client::Client,
    error::Error,
    ids::{Lane, Queue, check_name},
};

/// Bytes a kind, an organization's id, a person's name and a reason may have.
const MAX_NAME_BYTES: usize = 300;
const MAX_REASON_BYTES: usize = 2_000;

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All jobs.
    Everything,
    /// The jobs of a queue.
    Queue(Queue),
    /// The jobs of a kind, known to this version or not.
    Kind(String),
    /// The jobs of a lane: of an account, for one.
    Lane(Lane),
    /// The jobs of an organization: of all its accounts.
    Organization(String),
}

impl Scope {
    /// What kind of thing is paused, and its name; empty for everything.
    pub fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Everything => ("everything", ""),
            Self::Queue(queue) => ("queue", queue.as_str()),
            Self::Kind(kind) => ("kind", kind),
            Self::Lane(lane) => ("lane", lane.as_str()),
            Self::Organization(id) => ("organization", id),
        }
    }

    /// The opposite of [`Scope::columns`]; `None` for what cannot be paused.
    pub fn from_columns(scope: &str, name: String) -> Option<Self> {
        match scope {
            "everything" => Some(Self::Everything),
            "queue" => Queue::from_stored(&name).map(Self::Queue),
            "kind" => Some(Self::Kind(name)),
            "lane" => Some(Self::Lane(Lane::from_stored(name))),
            "organization" => Some(Self::Organization(name)),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Everything | Self::Queue(_) => Ok(()),
            Self::Kind(kind) => check_name("kind", kind, MAX_NAME_BYTES),
            Self::Lane(lane) => lane.check(),
            Self::Organization(id) => check_name("organization", id, MAX_NAME_BYTES),
        }
    }
}

/// As `{"scope": "queue", "name": "sync"}`.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (scope, name) = self.columns();
        let mut both = to.serialize_struct("Scope", 2)?;
        both.serialize_field("scope", scope)?;
        both.serialize_field("name", name)?;
        both.end()
    }
}

/// A pause, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// What is paused.
    #[serde(flatten)]
    pub scope: Scope,
    /// Who paused it; `syncline` for a lane in quarantine.
    pub paused_by: String,
    /// Why, in their words.
    pub reason: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// Until when; `None`: until somebody resumes it.
    pub paused_until: Option<DateTime<Utc>>,
}

/// Pauses; a pause of the same scope is replaced.
///
/// # Errors
/// As [`set`].
pub async fn pause(
    client: &Client,
    scope: &Scope,
    paused_by: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let mut connection = client
        .pool()
        .acquire()
        .await
        .map_err(Error::database("pause jobs"))?;
    set(&mut connection, scope, paused_by, reason, until).await?;
    client.wake();
    Ok(())
}

/// As [`pause`], in the caller's transaction; call [`Client::wake`] after its commit.
///
/// # Errors
/// [`Error::InvalidName`] for a kind, lane, person or reason that is empty, too long or holds a NUL
/// character, [`Error::Database`].
pub async fn set(
    tx: &mut PgConnection,
    scope: &Scope,
    paused_by: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    scope.check()?;
    check_name("name of who pauses", paused_by, MAX_NAME_BYTES)?;
    check_name("reason", reason, MAX_REASON_BYTES)?;
    let (kind_of_scope, name) = scope.columns();
    sqlx::query!(
        r#"
        INSERT INTO syncline.pauses (scope, name, paused_by, reason, paused_until)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (scope, name) DO UPDATE
        SET paused_by = excluded.paused_by,
            reason = excluded.reason,
            paused_at = now(),
            paused_until = excluded.paused_until
        "#,
        kind_of_scope,
        name,
        paused_by,
        reason,
        until,
    )
    .execute(tx)
    .await
    .map_err(Error::database("pause jobs"))?;
    tracing::warn!(
        scope = kind_of_scope,
        name,
        by = paused_by,
        reason,
        "paused"
    );
    Ok(())
}

/// Resumes; false when it was not paused.
///
/// # Errors
/// [`Error::Database`].
pub async fn resume(client: &Client, scope: &Scope, resumed_by: &str) -> Result<bool, Error> {
    let mut tx = client
        .pool()
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let was_paused = lift(&mut tx, scope, resumed_by).await?;
    tx.commit().await.map_err(Error::database("resume jobs"))?;
    client.wake();
    Ok(was_paused)
}

/// As [`resume`], in the caller's transaction; call [`Client::wake`] after its commit.
///
/// # Errors
/// [`Error::Database`].
pub async fn lift(tx: &mut PgConnection, scope: &Scope, resumed_by: &str) -> Result<bool, Error> {
    let (kind_of_scope, name) = scope.columns();
    let was_paused = sqlx::query!(
        "DELETE FROM syncline.pauses WHERE scope = $1 AND name = $2",
        kind_of_scope,
        name,
    )
    .execute(&mut *tx)
    .await
    .map_err(Error::database("resume jobs"))?
    .rows_affected()
        > 0;
    if was_paused && *scope != Scope::Everything {
        // Afterwards, so that this sees every lane that was let go while the pause held.
        sqlx::query!(
            r#"
            UPDATE syncline.lanes l
            SET due_at = greatest(now(), coalesce(l.blocked_until, '-infinity'))
            WHERE l.owner IS NULL
              AND (l.due_at IS NULL OR l.due_at > now())
              AND l.lane IN (
                  SELECT lane
                  FROM syncline.jobs
                  WHERE started_at IS NULL
                    AND (
                        ($1 = 'queue' AND queue = $2)
                        OR ($1 = 'kind' AND kind = $2)
                        OR ($1 = 'lane' AND lane = $2)
                        OR ($1 = 'organization' AND organization_id = $2)
                    )
              )
            "#,
            kind_of_scope,
            name,
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("resume jobs"))?;
    }
    if let Scope::Lane(lane) = scope {
        // Quarantined or not: it starts with a clean slate.
        sqlx::query!(
            "UPDATE syncline.lanes SET crashes = 0 WHERE lane = $1 AND crashes > 0",
            lane.as_str(),
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("resume jobs"))?;
    }
    tracing::warn!(scope = kind_of_scope, name, by = resumed_by, "resumed");
    Ok(was_paused)
}

/// All pauses that hold, the oldest first.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(pool: &PgPool) -> Result<Vec<Pause>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT scope, name, paused_by, reason, paused_at, paused_until
        FROM syncline.pauses
        WHERE paused_until IS NULL OR paused_until > now()
        ORDER BY paused_at, scope, name
        LIMIT 10000
        "#
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("list pauses"))?;
    let pauses = rows.into_iter().filter_map(|row| {
        Some(Pause {
            scope: Scope::from_columns(&row.scope, row.name)?,
            paused_by: row.paused_by,
            reason: row.reason,
            paused_at: row.paused_at,
            paused_until: row.paused_until,
        })
    });
    Ok(pauses.collect())
}

#[cfg(test)]
mod tests;
