//! Storing a page.

use std::borrow::Cow;
use std::ops::AddAssign;

use chrono::{DateTime, Datelike, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::error::During;
use crate::{AccountId, Error, storable_json};

/// The longest id that is stored as it is, in bytes: an index entry of Postgres has room for 2,700.
const LONGEST_KEY: usize = 512;

/// A record as it comes from Merge.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// Merge's id, or what stands in for it.
    pub merge_id: &'a str,
    /// The third party's id.
    pub remote_id: Option<&'a str>,
    /// The whole record, as JSON text.
    pub data: &'a str,
    /// Merge's clock.
    pub modified_at: Option<DateTime<Utc>>,
    /// Merge's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// Deleted at the source.
    pub is_deleted: bool,
}

/// What became of the records of a page. Their sum is the number of different ids in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// New.
    pub inserted: u64,
    /// Newer and different.
    pub updated: u64,
    /// The same as stored.
    pub unchanged: u64,
    /// Older than stored.
    pub stale: u64,
}

impl Counts {
    /// How many made a difference.
    pub fn changed(&self) -> u64 {
        self.inserted + self.updated
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
    }
}

/// Stores a page. The caller holds the lock on the model's row, and took `changed_at` under it.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    records: &[NewRecord<'_>],
    changed_at: DateTime<Utc>,
) -> Result<Counts, Error> {
    if records.is_empty() {
        return Ok(Counts::default());
    }
    let mut columns = Columns::default();
    for record in records {
        columns.push(record);
    }
    let counts = sqlx::query_file!(
        "src/model_records/upsert.sql",
        account_id as AccountId,
        model_id,
        changed_at,
        &columns.merge_ids,
        &columns.remote_ids as &[Option<String>],
        &columns.data,
        &columns.modified_at as &[Option<DateTime<Utc>>],
        &columns.created_at as &[Option<DateTime<Utc>>],
        &columns.are_deleted
    )
    .fetch_one(conn)
    .await
    .during("store a page of records")?;
    let number = |count: Option<i64>| count.unwrap_or_default().unsigned_abs();
    Ok(Counts {
        inserted: number(counts.inserted),
        updated: number(counts.updated),
        unchanged: number(counts.unchanged),
        stale: number(counts.stale),
    })
}

/// Records by column, as `unnest` takes them, in forms that Postgres can hold.
#[derive(Default)]
struct Columns {
    merge_ids: Vec<String>,
    remote_ids: Vec<Option<String>>,
    data: Vec<String>,
    modified_at: Vec<Option<DateTime<Utc>>>,
    created_at: Vec<Option<DateTime<Utc>>>,
    are_deleted: Vec<bool>,
}

impl Columns {
    fn push(&mut self, record: &NewRecord<'_>) {
        self.merge_ids
            .push(storable_key(record.merge_id).into_owned());
        self.remote_ids
            .push(record.remote_id.map(|id| id.replace('\0', "\u{FFFD}")));
        self.data.push(storable_json(record.data).into_owned());
        self.modified_at
            .push(record.modified_at.filter(is_storable_time));
        self.created_at
            .push(record.created_at.filter(is_storable_time));
        self.are_deleted.push(record.is_deleted);
    }
}

/// An id in a form that fits into an index: no NUL, and a long one cut and told apart by its hash.
pub(crate) fn storable_key(merge_id: &str) -> Cow<'_, str> {
    if merge_id.len() <= LONGEST_KEY && !merge_id.contains('\0') {
        return Cow::Borrowed(merge_id);
    }
    let clean = merge_id.replace('\0', "\u{FFFD}");
    if clean.len() <= LONGEST_KEY {
        return Cow::Owned(clean);
    }
    let hash = crate::hex(&Sha256::digest(merge_id));
    let end = clean.floor_char_boundary(LONGEST_KEY - 1 - hash.len());
    Cow::Owned(format!("{}#{hash}", &clean[..end]))
}

/// Postgres' own range is wider; a time outside of this one is no time.
fn is_storable_time(time: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}
