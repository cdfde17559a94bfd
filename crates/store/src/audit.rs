//! Who changed what, when and why: only ever appended to, each entry bound to all before it.
//!
//! An entry's hash is the SHA-256 of the hash before it and of the entry. Whoever changes, removes or inserts an entry
//! has to write all later ones anew, and the head; and each head was told to the log when it was new. Triggers refuse
//! what an honest mistake would do.
//!
//! Append last in a transaction: the head is locked until it ends, and who appends next waits for it.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::Error;
use crate::error::During;
use crate::users::Role;

/// Entries that are read at once.
const PAGE: i64 = 1_000;
/// What the first entry follows.
const NOTHING: [u8; 32] = [0; 32];

/// A change, to be noted with it.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    /// Who.
    pub actor: &'a str,
    /// As what.
    pub role: Role,
    /// What, as `job.retry`.
    pub action: &'a str,
    /// To what.
    pub target: &'a str,
    /// Why, in their words.
    pub reason: Option<&'a str>,
    /// Filter, count, before and after; no secrets.
    pub detail: Value,
}

/// A change that was made.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Entry {
    /// Its place: 1, 2, 3, …
    pub position: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// As what.
    pub role: String,
    /// What, as `job.retry`.
    pub action: String,
    /// To what.
    pub target: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// JSON: filter, count, before and after.
    pub detail: String,
    /// SHA-256 of all this and of the hash before it, in hexadecimal digits.
    pub hash: String,
}

impl Entry {
    fn digest(&self, before: &[u8]) -> [u8; 32] {
        let at = self.at.timestamp_micros().to_string();
        let position = self.position.to_string();
        let reason = match &self.reason {
            Some(reason) => format!("+{reason}"),
            None => String::new(),
        };
        let parts = [
            &position,
            &at,
            &self.actor,
            &self.role,
            &self.action,
            &self.target,
            &reason,
            &self.detail,
        ];
        let mut hasher = Sha256::new_with_prefix(before);
        for part in parts {
            // Lengths, so that no text can pass for two.
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

/// Appends an entry; answers its place.
pub async fn append(conn: &mut PgConnection, new: NewEntry<'_>) -> Result<i64, Error> {
    let head = sqlx::query!(
        r#"SELECT position, hash, clock_timestamp() AS "now!" FROM syncline.audit_head FOR UPDATE"#
    )
    .fetch_one(&mut *conn)
    .await
    .during("append to the audit log")?;
    let mut entry = Entry {
        position: head.position + 1,
        at: head.now.trunc_subsecs(6),
        actor: storable(new.actor),
        role: new.role.as_str().to_owned(),
        action: new.action.to_owned(),
        target: storable(new.target),
        reason: new.reason.map(storable),
        detail: storable(&new.detail.to_string()),
        hash: String::new(),
    };
    let hash = entry.digest(&head.hash);
    entry.hash = crate::hex(&hash);
    sqlx::query!(
        r#"
        WITH added AS (
            INSERT INTO syncline.audit_log (position, at, actor, role, action, target, reason, detail, hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        )
        UPDATE syncline.audit_head SET position = $1, hash = $9
        "#,
        entry.position,
        entry.at,
        entry.actor,
        entry.role,
        entry.action,
        entry.target,
        entry.reason,
        entry.detail,
        &hash
    )
    .execute(conn)
    .await
    .during("append to the audit log")?;
    tracing::info!(
        audit.position = entry.position,
        audit.hash = entry.hash,
        actor = entry.actor,
        target = entry.target,
        "{}",
        entry.action
    );
    Ok(entry.position)
}

/// Without the one character that Postgres text cannot hold.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter<'a> {
    /// What it was done to.
    pub target: Option<&'a str>,
    /// Only before this place.
    pub before: Option<i64>,
}

/// Lists entries, newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &EntryFilter<'_>,
    limit: u16,
) -> Result<Vec<Entry>, Error> {
    sqlx::query_as!(
        Entry,
        r#"
        SELECT position, at, actor, role, action, target, reason, detail, encode(hash, 'hex') AS "hash!"
        FROM syncline.audit_log
        WHERE ($1::text IS NULL OR target = $1)
          AND ($2::bigint IS NULL OR position < $2)
        ORDER BY position DESC
        LIMIT $3
        "#,
        filter.target,
        filter.before,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list the audit log")
}

/// What a look at the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Every entry is as it was appended.
    Whole {
        /// How many there are.
        entries: i64,
        /// The hash of the newest: compare it with what the log told.
        head: String,
    },
    /// Somebody changed the table.
    Broken {
        /// The first place at which it does not fit.
        position: i64,
        /// What does not fit there.
        fault: &'static str,
    },
}

/// Recomputes the chain from its beginning.
pub async fn verify(conn: &mut PgConnection) -> Result<Verdict, Error> {
    // Read first: what is appended meanwhile is behind it.
    let head = sqlx::query!("SELECT position, hash FROM syncline.audit_head")
        .fetch_optional(&mut *conn)
        .await
        .during("read the head of the audit log")?;
    let Some(head) = head else {
        return Ok(Verdict::Broken {
            position: 0,
            fault: "the head is gone",
        });
    };
    let mut reached = (0, NOTHING);
    loop {
        let page = after(conn, reached.0).await?;
        for entry in &page {
            if entry.position != reached.0 + 1 {
                return Ok(broken(reached.0 + 1, "an entry is missing"));
            }
            let hash = entry.digest(&reached.1);
            if crate::hex(&hash) != entry.hash {
                return Ok(broken(
                    entry.position,
                    "the entry is not as it was appended",
                ));
            }
            if entry.position == head.position && hash.as_slice() != head.hash {
                return Ok(broken(entry.position, "the head is of another entry"));
            }
            reached = (entry.position, hash);
        }
        if page.is_empty() {
            break;
        }
    }
    if reached.0 < head.position {
        return Ok(broken(reached.0 + 1, "the last entries are missing"));
    }
    Ok(Verdict::Whole {
        entries: reached.0,
        head: crate::hex(&reached.1),
    })
}

fn broken(position: i64, fault: &'static str) -> Verdict {
    Verdict::Broken { position, fault }
}

/// The next entries, oldest first.
async fn after(conn: &mut PgConnection, position: i64) -> Result<Vec<Entry>, Error> {
    sqlx::query_as!(
        Entry,
        r#"
        SELECT position, at, actor, role, action, target, reason, detail, encode(hash, 'hex') AS "hash!"
        FROM syncline.audit_log
        WHERE position > $1
        ORDER BY position
        LIMIT $2
        "#,
        position,
        PAGE
    )
    .fetch_all(conn)
    .await
    .during("read the audit log")
}

#[cfg(test)]
mod tests;
