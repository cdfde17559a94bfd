//! The slices of time that are fetched of a model, one after another without a hole.
//!
//! A window is opened at the watermark and bounded by the mark; its pages are stored one by one, each in one
//! transaction with the cursor of the next, so that whoever resumes it goes on at the page; and it closes with
//! its last page, which moves the watermark to the very mark that bounded it. Two kinds of window close no gap and are
//! read because they are [`Wanted`]: a sweep of what came after the mark, and everything anew.
//!
//! Every function first locks the model's row in `model_syncs`. So there is one writer per model at a time
//! (see [`crate::model_records`] for what rests on that), and none once the account's models are deleted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use crate::error::During;
use crate::events::{self, EventType};
use crate::model_records::{self, Counts, NewRecord};
use crate::{AccountId, Error, WindowId};

mod bounds;
mod chain;
mod merging;

pub use bounds::{Bounds, Extent, Wanted};
pub use chain::{Chain, ClosedWindow, Verdict, closed, prove};

/// An open window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its id.
    pub id: WindowId,
    /// The account.
    pub account_id: AccountId,
    /// The model.
    pub model_id: String,
    /// How much of the model it covers.
    pub extent: Extent,
    /// To be sent as `modified_after`.
    pub modified_after: Option<DateTime<Utc>>,
    /// To be sent as `modified_before`.
    pub modified_before: Option<DateTime<Utc>>,
    /// What the watermark becomes.
    pub mark: DateTime<Utc>,
    /// Of the page to ask for next; `None`: the first.
    pub cursor: Option<String>,
    /// Pages stored.
    pub pages: i32,
    /// Times the walk began again.
    pub restarts: i32,
    /// Records a page; `None`: as many as usual.
    pub page_size: Option<i16>,
}

/// How to open a window.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// How far it reaches back before the watermark.
    pub overlap: Duration,
    /// Whether Merge can filter the model by time. If not, it is read whole and what is missing is deleted.
    pub has_modified_filter: bool,
}

/// Resumes the open window of a model, or opens one if the mark is ahead of the watermark, or one is wanted; else
/// `None`.
///
/// # Errors
/// [`Error::AccountGone`] when the account, or the model of it, was deleted.
pub async fn resume_or_open(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    opening: Opening,
) -> Result<Option<Window>, Error> {
    let progress = lock_model(conn, account_id, model_id).await?;
    if let Some(open) = find_open(conn, account_id, model_id).await? {
        return Ok(Some(open));
    }
    let Some(mark) = progress.available_through else {
        return Ok(None);
    };
    let Some(bounds) = Bounds::next(progress.fetched_through, mark, progress.wanted, opening)
    else {
        return Ok(None);
    };
    let window = Window {
        id: WindowId::new(),
        account_id,
        model_id: model_id.to_owned(),
        extent: bounds.extent,
        modified_after: bounds.modified_after,
        modified_before: bounds.modified_before,
        mark,
        cursor: None,
        pages: 0,
        restarts: 0,
        page_size: None,
    };
    sqlx::query!(
        r#"
        INSERT INTO syncline.fetch_windows (
            id, account_id, model_id, extent, modified_after, modified_before, mark
        )
        SELECT $1, $2, $3, $4, $5, $6, $7
        -- The commit is not waited for: a window that a crash of the server forgets is opened again.
        WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
        "#,
        window.id as WindowId,
        account_id as AccountId,
        model_id,
        window.extent as Extent,
        window.modified_after,
        window.modified_before,
        mark
    )
    .execute(conn)
    .await
    .during("open a window")?;
    Ok(Some(window))
}

async fn find_open(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
) -> Result<Option<Window>, Error> {
    sqlx::query_as!(
        Window,
        r#"
        SELECT
            id AS "id: WindowId", account_id AS "account_id: AccountId", model_id, extent AS "extent: Extent",
            modified_after, modified_before, mark, cursor, pages, restarts, page_size
        FROM syncline.fetch_windows
        WHERE account_id = $1
          AND model_id = $2
          AND finished_at IS NULL
        "#,
        account_id as AccountId,
        model_id
    )
    .fetch_optional(conn)
    .await
    .during("read the open window of a model")
}

/// Stores one page and the cursor of the next, and moves `window` on to it.
///
/// # Errors
/// [`Error::WindowNotOpen`] when the window was closed, or this page stored, meanwhile; then nothing is stored.
/// [`Error::AccountGone`] when the account was deleted.
pub async fn save_page(
    conn: &mut PgConnection,
    window: &mut Window,
    records: &[NewRecord<'_>],
    next_cursor: &str,
) -> Result<Counts, Error> {
    let (counts, progress) = store(conn, window, records).await?;
    if counts.changed() > 0 {
        let (id, model_id) = (window.account_id, &window.model_id);
        count_changes(conn, id, model_id, counts.inserted, progress.next_change).await?;
    }
    let saved = sqlx::query!(
        r#"
        UPDATE syncline.fetch_windows
        SET cursor = $5, pages = pages + 1, records = records + $6, changed = changed + $7
        WHERE account_id = $1
          AND model_id = $2
          AND id = $3
          AND finished_at IS NULL
          AND pages = $4
        "#,
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId,
        window.pages,
        next_cursor,
        count(records.len()),
        count(counts.changed())
    )
    .execute(conn)
    .await
    .during("store the progress of a window")?;
    if saved.rows_affected() != 1 {
        return Err(not_open(window));
    }
    window.pages += 1;
    window.cursor = Some(next_cursor.to_owned());
    Ok(counts)
}

/// Stores the records of a page, under the lock of the model's row; answers how far the model was, too.
async fn store(
    conn: &mut PgConnection,
    window: &Window,
    records: &[NewRecord<'_>],
) -> Result<(Counts, Progress), Error> {
    let (account_id, model_id) = (window.account_id, &window.model_id);
    let progress = lock_model(conn, account_id, model_id).await?;
    let changed_at = progress.next_change;
    let counts = model_records::upsert(conn, account_id, model_id, records, changed_at).await?;
    if window.extent == Extent::Whole {
        remember_sightings(conn, window, records).await?;
    }
    Ok((counts, progress))
}

/// Stores records that were told outside of any window, by the same rules as a page. `None`, and nothing is stored,
/// before the first window of the model is closed: it brings them, too.
///
/// Not for models that are read whole: a walk under way would not meet the record, and take it for deleted.
pub async fn save_news(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    records: &[NewRecord<'_>],
) -> Result<Option<Counts>, Error> {
    let progress = match lock_model(conn, account_id, model_id).await {
        Ok(progress) if progress.fetched_through.is_some() => progress,
        Ok(_) | Err(Error::AccountGone(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let changed_at = progress.next_change;
    let counts = model_records::upsert(conn, account_id, model_id, records, changed_at).await?;
    if counts.changed() > 0 {
        count_changes(conn, account_id, model_id, counts.inserted, changed_at).await?;
    }
    Ok(Some(counts))
}

/// What a closed window leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// What became of the last page's records.
    pub counts: Counts,
    /// Records marked deleted because a whole walk did not meet them.
    pub absent: u64,
    /// Whether another window is due: the mark moved on meanwhile, or more is wanted.
    pub is_due_again: bool,
    /// Whether it began after the watermark, so that changes in between were not asked for. Never, as far as we know.
    pub leaves_gap: bool,
}

/// Stores the last page, closes the window, and moves the watermark.
///
/// # Errors
/// As [`save_page`].
pub async fn save_last_page(
    conn: &mut PgConnection,
    window: &Window,
    records: &[NewRecord<'_>],
) -> Result<Closed, Error> {
    let (counts, progress) = store(conn, window, records).await?;
    let absent = match window.extent {
        Extent::Whole => delete_absent(conn, window, progress.next_change).await?,
        Extent::First | Extent::Next | Extent::Sweep => 0,
    };
    let changed = counts.changed() + absent;
    let closed = sqlx::query!(
        r#"
        UPDATE syncline.fetch_windows
        SET finished_at = clock_timestamp(), cursor = NULL, pages = pages + 1, records = records + $5,
            changed = changed + $6
        WHERE account_id = $1
          AND model_id = $2
          AND id = $3
          AND finished_at IS NULL
          AND pages = $4
        RETURNING
            records, changed,
            -- With this one, which was open before.
            1 + (
                SELECT count(*)
                FROM syncline.fetch_windows
                WHERE account_id = $1
                  AND model_id = $2
                  AND finished_at IS NOT NULL
            ) AS "closed_windows!"
        "#,
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId,
        window.pages,
        count(records.len()),
        count(changed)
    )
    .fetch_optional(&mut *conn)
    .await
    .during("close a window")?
    .ok_or_else(|| not_open(window))?;
    let detail = json!({ "records": closed.records, "changed": closed.changed });
    let (account_id, model_id) = (window.account_id, Some(window.model_id.as_str()));
    events::tell(
        conn,
        EventType::ModelSynced,
        account_id,
        model_id,
        Some(detail),
    )
    .await?;
    let leaves_gap =
        window.extent == Extent::Next && progress.fetched_through < window.modified_after;
    let changed_at = (changed > 0).then_some(progress.next_change);
    let is_due_again = move_watermark(conn, window, counts.inserted, changed_at).await?;
    if closed.closed_windows > merging::MOST {
        merging::merge_old(conn, window, closed.closed_windows).await?;
    }
    Ok(Closed {
        counts,
        absent,
        is_due_again,
        leaves_gap,
    })
}

/// Moves the watermark to the window's mark, never back, counts what its last page changed, and notes what is no longer
/// wanted. True when more is due.
async fn move_watermark(
    conn: &mut PgConnection,
    window: &Window,
    inserted: u64,
    changed_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        UPDATE syncline.model_syncs AS model
        SET fetched_through = greatest(model.fetched_through, $4),
            merge_last_sync_finished = greatest(model.merge_last_sync_finished, $4),
            last_synced_at = opened.started_at,
            last_fetched_at = clock_timestamp(),
            records = model.records + $5,
            last_changed_at = coalesce($6, model.last_changed_at),
            refusal = NULL,
            refused_at = NULL,
            wanted = CASE WHEN is_enough THEN NULL ELSE model.wanted END,
            wanted_at = CASE WHEN is_enough THEN NULL ELSE model.wanted_at END,
            updated_at = now()
        FROM syncline.fetch_windows AS opened
        CROSS JOIN LATERAL (
            SELECT opened.started_at >= locked.wanted_at
                AND opened.extent IN ('first', 'whole', locked.wanted) AS is_enough
            FROM syncline.model_syncs AS locked
            WHERE locked.account_id = $1
              AND locked.model_id = $2
        ) AS judged
        WHERE model.account_id = $1
          AND model.model_id = $2
          AND opened.account_id = $1
          AND opened.model_id = $2
          AND opened.id = $3
        RETURNING model.available_through > model.fetched_through OR model.wanted IS NOT NULL AS "is_due_again!"
        "#,
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId,
        window.mark,
        count(inserted),
        changed_at
    )
    .fetch_one(conn)
    .await
    .during("move a watermark")
}

/// Starts the walk of a window again at its first page. What was stored stays: storing it again is harmless.
///
/// # Errors
/// [`Error::WindowNotOpen`], [`Error::AccountGone`].
pub async fn restart(conn: &mut PgConnection, window: &mut Window) -> Result<(), Error> {
    window.restarts += 1;
    rewind(conn, window).await
}

/// The same with another number of records a page, which must stay the same along a walk.
///
/// # Errors
/// [`Error::WindowNotOpen`], [`Error::AccountGone`].
pub async fn resize(
    conn: &mut PgConnection,
    window: &mut Window,
    page_size: i16,
) -> Result<(), Error> {
    window.page_size = Some(page_size);
    rewind(conn, window).await
}

async fn rewind(conn: &mut PgConnection, window: &mut Window) -> Result<(), Error> {
    lock_model(conn, window.account_id, &window.model_id).await?;
    forget_sightings(conn, window).await?;
    let restarted = sqlx::query!(
        r#"
        UPDATE syncline.fetch_windows
        SET cursor = NULL, pages = 0, records = 0, restarts = $4, page_size = $5
        WHERE account_id = $1
          AND model_id = $2
          AND id = $3
          AND finished_at IS NULL
        "#,
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId,
        window.restarts,
        window.page_size
    )
    .execute(conn)
    .await
    .during("restart a window")?;
    if restarted.rows_affected() != 1 {
        return Err(not_open(window));
    }
    window.cursor = None;
    window.pages = 0;
    Ok(())
}

/// Drops an open window without moving the watermark; the next one begins where it began.
pub async fn abandon(conn: &mut PgConnection, window: &Window) -> Result<(), Error> {
    forget_sightings(conn, window).await?;
    sqlx::query!(
        r#"
        DELETE FROM syncline.fetch_windows
        WHERE account_id = $1
          AND model_id = $2
          AND id = $3
          AND finished_at IS NULL
        "#,
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId
    )
    .execute(conn)
    .await
    .during("abandon a window")?;
    Ok(())
}

/// Removes the windows of an account, open ones included.
pub async fn delete_all(conn: &mut PgConnection, account_id: AccountId) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.window_sightings WHERE account_id = $1",
        account_id as AccountId
    )
    .execute(&mut *conn)
    .await
    .during("delete the sightings of a linked account")?;
    sqlx::query!(
        "DELETE FROM syncline.fetch_windows WHERE account_id = $1",
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("delete the windows of a linked account")?;
    Ok(())
}

/// A model's row, held until the transaction ends.
struct Progress {
    available_through: Option<DateTime<Utc>>,
    fetched_through: Option<DateTime<Utc>>,
    wanted: Option<Wanted>,
    /// The `changed_at` of the next page: later than that of every page stored before.
    next_change: DateTime<Utc>,
}

async fn lock_model(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
) -> Result<Progress, Error> {
    sqlx::query_as!(
        Progress,
        r#"
        SELECT
            available_through,
            fetched_through,
            wanted AS "wanted: Wanted",
            greatest(
                clock_timestamp(),
                last_changed_at + interval '1 microsecond'
            ) AS "next_change!"
        FROM syncline.model_syncs
        WHERE account_id = $1
          AND model_id = $2
        FOR UPDATE
        "#,
        account_id as AccountId,
        model_id
    )
    .fetch_optional(conn)
    .await
    .during("lock a model of a linked account")?
    .ok_or(Error::AccountGone(account_id))
}

/// Counts new records into the model's row, and notes the time that the changes bear.
async fn count_changes(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    inserted: u64,
    changed_at: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.model_syncs
        SET records = records + $3, last_changed_at = $4, updated_at = now()
        WHERE account_id = $1
          AND model_id = $2
        "#,
        account_id as AccountId,
        model_id,
        count(inserted),
        changed_at
    )
    .execute(conn)
    .await
    .during("count the records of a model")?;
    Ok(())
}

async fn remember_sightings(
    conn: &mut PgConnection,
    window: &Window,
    records: &[NewRecord<'_>],
) -> Result<(), Error> {
    let merge_ids: Vec<String> = records
        .iter()
        .map(|record| model_records::storable_key(record.merge_id).into())
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO syncline.window_sightings (account_id, window_id, merge_id)
        SELECT $1, $2, merge_id
        FROM unnest($3::text[]) AS met (merge_id)
        ON CONFLICT DO NOTHING
        "#,
        window.account_id as AccountId,
        window.id as WindowId,
        &merge_ids
    )
    .execute(conn)
    .await
    .during("remember the records that a whole window met")?;
    Ok(())
}

/// Marks as deleted what the whole walk did not meet.
async fn delete_absent(
    conn: &mut PgConnection,
    window: &Window,
    changed_at: DateTime<Utc>,
) -> Result<u64, Error> {
    let absent = sqlx::query_file_scalar!(
        "src/fetch_windows/delete_absent.sql",
        window.account_id as AccountId,
        window.model_id,
        window.id as WindowId,
        changed_at
    )
    .fetch_one(&mut *conn)
    .await
    .during("mark absent records as deleted")?
    .unsigned_abs();
    forget_sightings(conn, window).await?;
    Ok(absent)
}

async fn forget_sightings(conn: &mut PgConnection, window: &Window) -> Result<(), Error> {
    if window.extent != Extent::Whole {
        return Ok(());
    }
    sqlx::query!(
        "DELETE FROM syncline.window_sightings WHERE account_id = $1 AND window_id = $2",
        window.account_id as AccountId,
        window.id as WindowId
    )
    .execute(conn)
    .await
    .during("forget the records that a whole window met")?;
    Ok(())
}

fn not_open(window: &Window) -> Error {
    Error::WindowNotOpen {
        account_id: window.account_id,
        model_id: window.model_id.clone(),
    }
}

/// A number of rows as Postgres counts them.
fn count(rows: impl TryInto<i64>) -> i64 {
    rows.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
