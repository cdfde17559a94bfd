//! The feed of changes that the product follows: in one order, without a gap, from any point on.
//!
//! **Writing.** An event is written by the transaction whose effect it tells, so that there is never one without
//! the other. Changes of records come in pages; a page's changes of one type are one row, which names the records
//! and copies nothing of them. What changed nothing is no event.
//!
//! **Order.** A number drawn while writing would not do: a transaction may draw 7 and commit after 8 was read, and
//! whoever reads on from 8 never meets 7. So rows get their place afterwards: whoever reads first gives
//! numbers to all rows that are committed but have none ([`place`]), holding the one row of `event_feed`. What
//! commits later gets a later number, however old it is. Of two transactions one of which saw the other, the
//! other comes first; those that ran at the same time are in the order in which they wrote.
//!
//! Each record that a row names is an event with a number of its own. Numbers follow each other without a gap; only
//! where an account was deleted, and in the view of one organization, are some missing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::error::During;
use crate::{AccountId, Error};

/// Rows that get their place in one transaction.
const BATCH: i64 = 1_000;

/// What an event tells. Stored and shown: never rename one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(type_name = "text")]
pub enum EventType {
    /// A record is there that was not, or was deleted.
    #[serde(rename = "record.created")]
    #[sqlx(rename = "record.created")]
    RecordCreated,
    /// A record that was there is different.
    #[serde(rename = "record.updated")]
    #[sqlx(rename = "record.updated")]
    RecordUpdated,
    /// A record is marked as deleted.
    #[serde(rename = "record.deleted")]
    #[sqlx(rename = "record.deleted")]
    RecordDeleted,
    /// A window was stored whole.
    #[serde(rename = "model.synced")]
    #[sqlx(rename = "model.synced")]
    ModelSynced,
    /// The account can be read; for the first time or again.
    #[serde(rename = "account.linked")]
    #[sqlx(rename = "account.linked")]
    AccountLinked,
    /// Every enabled model was stored for the first time.
    #[serde(rename = "account.initial_sync_completed")]
    #[sqlx(rename = "account.initial_sync_completed")]
    AccountInitialSyncCompleted,
    /// The customer must sign in again at the third party.
    #[serde(rename = "account.relink_needed")]
    #[sqlx(rename = "account.relink_needed")]
    AccountRelinkNeeded,
    /// The account and all that was stored of it are gone.
    #[serde(rename = "account.deleted")]
    #[sqlx(rename = "account.deleted")]
    AccountDeleted,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RecordCreated,
        Self::RecordUpdated,
        Self::RecordDeleted,
        Self::ModelSynced,
        Self::AccountLinked,
        Self::AccountInitialSyncCompleted,
        Self::AccountRelinkNeeded,
        Self::AccountDeleted,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordCreated => "record.created",
            Self::RecordUpdated => "record.updated",
            Self::RecordDeleted => "record.deleted",
            Self::ModelSynced => "model.synced",
            Self::AccountLinked => "account.linked",
            Self::AccountInitialSyncCompleted => "account.initial_sync_completed",
            Self::AccountRelinkNeeded => "account.relink_needed",
            Self::AccountDeleted => "account.deleted",
        }
    }

    /// A type by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// One event, at its place in the feed. As JSON it is what the product sees, in the feed and at its endpoints.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Its number: 1, 2, 3 ….
    #[serde(rename = "id")]
    pub position: i64,
    /// What it tells.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When the transaction that it tells of began; our clock.
    pub occurred_at: DateTime<Utc>,
    /// Whose it is.
    pub organization_id: String,
    /// Of which account.
    #[serde(rename = "linked_account_id")]
    pub account_id: AccountId,
    /// `hris.Employee`; `None`: about the account as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Which record.
    #[serde(rename = "record_id", skip_serializing_if = "Option::is_none")]
    pub merge_id: Option<String>,
    /// Counts and words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// Writes an event about an account, or a model of it, in the caller's transaction; nothing if there is no such account.
pub(crate) async fn tell(
    conn: &mut PgConnection,
    event_type: EventType,
    account_id: AccountId,
    model_id: Option<&str>,
    detail: Option<Value>,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        INSERT INTO syncline.events (type, organization_id, account_id, model_id, detail)
        SELECT $1, organization_id, id, $3, $4
        FROM syncline.linked_accounts
        WHERE id = $2
        "#,
        event_type as EventType,
        account_id as AccountId,
        model_id,
        detail
    )
    .execute(conn)
    .await
    .during("write an event")?;
    Ok(())
}

/// Where to read, and whose events.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedFilter<'a> {
    /// Only this organization's; `None`: every organization's.
    pub organization_id: Option<&'a str>,
    /// Only those of these types; `None`: of every type.
    pub event_types: Option<&'a [String]>,
    /// Those after this number; `None`: from the oldest that is kept.
    pub after: Option<i64>,
}

/// What a reader gets.
#[derive(Debug)]
pub enum FeedPage {
    /// Events in their order, and the number to go on after. Fewer than asked for: these are all for now.
    Events {
        /// The events.
        events: Vec<Event>,
        /// What to pass as `after` next time; not before it is stored what these events led to.
        next: i64,
    },
    /// Events after the given number are kept no longer.
    Forgotten,
    /// So many events there never were.
    NeverGiven,
}

/// Reads at most `limit` events. What is committed when this is called is among them, or comes before.
pub async fn read(
    conn: &mut PgConnection,
    filter: FeedFilter<'_>,
    limit: u16,
) -> Result<FeedPage, Error> {
    while place(conn).await? {}
    read_placed(conn, filter, limit).await
}

/// The same of those only that have their place already: for whoever may read, but not number, them.
pub async fn read_placed(
    conn: &mut PgConnection,
    filter: FeedFilter<'_>,
    limit: u16,
) -> Result<FeedPage, Error> {
    // First how far the feed is, then the events until there: what comes in between is for the next time.
    let feed = sqlx::query!("SELECT last_position, forgotten_through FROM syncline.event_feed")
        .fetch_one(&mut *conn)
        .await
        .during("read how far the feed is")?;
    let after = filter.after.unwrap_or(feed.forgotten_through);
    if after < feed.forgotten_through {
        return Ok(FeedPage::Forgotten);
    }
    if after > feed.last_position {
        return Ok(FeedPage::NeverGiven);
    }
    let events = sqlx::query_file_as!(
        Event,
        "src/events/read.sql",
        after,
        feed.last_position,
        filter.organization_id,
        filter.event_types,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("read events")?;
    let next = match events.last() {
        Some(last) if events.len() >= usize::from(limit) => last.position,
        _ => feed.last_position,
    };
    Ok(FeedPage::Events { events, next })
}

/// Gives places to rows that are committed and have none, the oldest first. True when there may be more.
///
/// Whoever reads does it; a tick does it when nobody reads, so that little is left to do for the one who does.
pub async fn place(conn: &mut PgConnection) -> Result<bool, Error> {
    let is_waiting = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM syncline.events WHERE last_position IS NULL) AS "is_waiting!""#
    )
    .fetch_one(&mut *conn)
    .await
    .during("look for events without a place")?;
    if !is_waiting {
        return Ok(false);
    }
    let mut tx = conn.begin().await.during("begin to place events")?;
    // Alone in a statement, since one that waits for a lock sees the rest of the database as it was before.
    sqlx::query!("SELECT FROM syncline.event_feed FOR UPDATE")
        .execute(&mut *tx)
        .await
        .during("lock the feed")?;
    let placed = sqlx::query_file_scalar!("src/events/place.sql", BATCH)
        .fetch_one(&mut *tx)
        .await
        .during("place events")?;
    tx.commit().await.during("place events")?;
    Ok(placed >= BATCH)
}

/// Forgets events older than `keep`, at most `limit` rows, and remembers up to which number; returns how many.
pub async fn forget_old(conn: &mut PgConnection, keep: Duration, limit: u32) -> Result<u64, Error> {
    let forgotten = sqlx::query_file_scalar!(
        "src/events/forget_old.sql",
        keep.as_secs_f64(),
        i64::from(limit)
    )
    .fetch_one(conn)
    .await
    .during("forget old events")?;
    Ok(forgotten.unsigned_abs())
}

/// Removes the events of an account.
pub(crate) async fn delete_of_account(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.events WHERE account_id = $1",
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("delete the events of a linked account")?;
    Ok(())
}

#[cfg(test)]
mod tests;
