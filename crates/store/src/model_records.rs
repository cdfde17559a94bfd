//! Merge's records, each once, in its newest version.
//!
//! **Writing.** A page is stored by one statement. It inserts what is new, updates what is newer *and* different,
//! and does not touch the rest: reading a window twice costs no dead row. What counts as newer:
//!
//! - an incoming record replaces a stored one whose `modified_at` is the same or earlier;
//! - if either has no `modified_at`, the one read last, which is the incoming one, is believed;
//! - of several with one id in a page the one with the latest `modified_at` is taken, then the last.
//!
//! Equality is that of `jsonb`: the order of keys, white space and the spelling of numbers do not count. What was
//! inserted or updated is told in the feed by the same statement (see [`crate::events`]).
//!
//! **Reading.** Readers walk in the order of `(changed_at, merge_id)` and must not miss what commits late. So
//! pages of one model are stored by one transaction at a time (the lock on its row in `model_syncs`), and each
//! bears a `changed_at` later than every one before it: who sees a change has seen all earlier ones. A record that
//! changes during a reader's walk moves to the end, and is met there.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::error::During;
use crate::{AccountId, Error};

mod writing;

pub use writing::{Counts, NewRecord};
pub(crate) use writing::{storable_key, upsert};

/// One stored record.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Merge's id.
    pub merge_id: String,
    /// The third party's id.
    pub remote_id: Option<String>,
    /// The record as Merge gave it.
    pub data: Json<Box<RawValue>>,
    /// Its last change, on Merge's clock.
    pub modified_at: Option<DateTime<Utc>>,
    /// When Merge first stored it.
    pub created_at: Option<DateTime<Utc>>,
    /// Deleted at the source.
    pub is_deleted: bool,
    /// When we first stored it.
    pub first_seen_at: DateTime<Utc>,
    /// When we last stored a difference.
    pub changed_at: DateTime<Utc>,
}

/// A reader's place in the order of changes: the last record of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its `changed_at`, to the microsecond.
    pub changed_at: DateTime<Utc>,
    /// Its `merge_id`.
    pub merge_id: String,
}

/// Which records to list, and from where.
#[derive(Debug, Clone)]
pub struct RecordFilter<'a> {
    /// The account.
    pub account_id: AccountId,
    /// In whose name; the account of another organization has no records. `None`: of every organization.
    pub organization_id: Option<&'a str>,
    /// `hris.Employee`.
    pub model_id: &'a str,
    /// Only those that changed after this, on our clock.
    pub changed_after: Option<DateTime<Utc>>,
    /// Deleted ones, too.
    pub include_deleted: bool,
    /// Those after this place.
    pub after: Option<Position>,
}

/// Lists records in the order of their changes, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &RecordFilter<'_>,
    limit: u16,
) -> Result<Vec<Record>, Error> {
    // `changed_after` is the place behind every record of that time: no id sorts after the highest character.
    let start = [
        filter
            .changed_after
            .map(|changed_at| (changed_at, "\u{10FFFF}")),
        filter
            .after
            .as_ref()
            .map(|place| (place.changed_at, place.merge_id.as_str())),
    ];
    let start = start.into_iter().flatten().max();
    sqlx::query_as!(
        Record,
        r#"
        SELECT
            merge_id, remote_id, data AS "data: Json<Box<RawValue>>", modified_at, created_at, is_deleted,
            first_seen_at, changed_at
        FROM syncline.model_records
        WHERE account_id = $1
          AND model_id = $2
          AND (changed_at, merge_id) > ($3, $4)
          AND (NOT is_deleted OR $5)
          AND EXISTS (
              SELECT
              FROM syncline.linked_accounts
              WHERE id = $1
                AND ($6::text IS NULL OR organization_id = $6)
                AND status <> 'deleting'
          )
        ORDER BY changed_at, merge_id
        LIMIT $7
        "#,
        filter.account_id as AccountId,
        filter.model_id,
        start.map_or(DateTime::UNIX_EPOCH, |(changed_at, _)| changed_at),
        start.map_or("", |(_, merge_id)| merge_id),
        filter.include_deleted,
        filter.organization_id,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list records")
}

/// Deletes some records of an account, at most `limit`; returns how many. Zero: none is left.
pub async fn delete_batch(
    conn: &mut PgConnection,
    account_id: AccountId,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.model_records
        WHERE (account_id, model_id, merge_id) IN (
            SELECT account_id, model_id, merge_id
            FROM syncline.model_records
            WHERE account_id = $1
            ORDER BY model_id, merge_id
            LIMIT $2
        )
        "#,
        account_id as AccountId,
        i64::from(limit)
    )
    .execute(conn)
    .await
    .during("delete records")?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests;
