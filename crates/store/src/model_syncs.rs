//! How far each model of an account is.
//!
//! Two times tell what is to be done. `available_through`, the *mark*, is the newest finish of a sync at Merge
//! that is usable; `fetched_through`, the *watermark*, the finish up to which everything is stored. A model is due
//! exactly while the mark is ahead. Both only ever grow, whatever the order in which news arrive. Beside that, something
//! may be *wanted* of a model that is stored already: see [`Wanted`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::error::During;
use crate::fetch_windows::Wanted;
use crate::{AccountId, Error};

/// One model of one account.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ModelSync {
    /// The account.
    pub account_id: AccountId,
    /// `hris.Employee`.
    pub model_id: String,
    /// Merge's word, as received.
    pub status: Option<String>,
    /// Merge's word for the last finished sync.
    pub last_sync_result: Option<String>,
    /// Whether Merge is at its first sync of the model.
    pub is_initial_sync: Option<bool>,
    /// Merge's clock.
    pub merge_last_sync_start: Option<DateTime<Utc>>,
    /// Merge's clock.
    pub next_sync_start: Option<DateTime<Utc>>,
    /// The mark.
    pub available_through: Option<DateTime<Utc>>,
    /// The watermark.
    pub fetched_through: Option<DateTime<Utc>>,
    /// The finish that led to the last whole window.
    pub merge_last_sync_finished: Option<DateTime<Utc>>,
    /// When we began the last whole window; our clock.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// When we ended it; our clock.
    pub last_fetched_at: Option<DateTime<Utc>>,
    /// Why Merge does not give us the model; `None`: it does.
    pub refusal: Option<String>,
    /// Records stored, those marked deleted included.
    pub records: i64,
}

impl ModelSync {
    /// Whether the model is to be synced, as far as was seen at the last look.
    pub fn is_selected(&self) -> bool {
        self.refusal.as_deref() != Some("not_selected")
    }
}

/// The models of an account, by name: at most the few dozens that Merge has.
pub async fn list(conn: &mut PgConnection, account_id: AccountId) -> Result<Vec<ModelSync>, Error> {
    sqlx::query_as!(
        ModelSync,
        r#"
        SELECT
            account_id AS "account_id: AccountId", model_id, status, last_sync_result, is_initial_sync,
            merge_last_sync_start, next_sync_start, available_through, fetched_through,
            merge_last_sync_finished, last_synced_at, last_fetched_at, refusal, records
        FROM syncline.model_syncs
        WHERE account_id = $1
        ORDER BY model_id
        LIMIT 1000
        "#,
        account_id as AccountId
    )
    .fetch_all(conn)
    .await
    .during("list the models of a linked account")
}

/// What somebody told of one model: a poll everything, a webhook its result only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// `hris.Employee`.
    pub model_id: String,
    /// `None`: not told, the stored one stays. So with all that follow.
    pub status: Option<String>,
    /// Merge's word for the last finished sync.
    pub last_sync_result: Option<String>,
    /// Whether Merge is at its first sync of the model.
    pub is_initial_sync: Option<bool>,
    /// Merge's clock.
    pub last_sync_start: Option<DateTime<Utc>>,
    /// Merge's clock.
    pub next_sync_start: Option<DateTime<Utc>>,
    /// The finish, if it is usable: raises the mark.
    pub ready_through: Option<DateTime<Utc>>,
    /// Set when the model is not read at all: `unknown_model` to our catalogue, or `not_selected` to be synced. Said at each
    /// observation; it ends with the first that does not say it.
    pub refusal: Option<String>,
}

/// How long a model that Merge refused is left alone before it is tried again, in hours.
const REFUSAL_HOURS: i32 = 24;

/// Stores what was observed, raises marks, and returns the ids of those models that are due now.
///
/// One statement whatever the number of models; marks never sink. Give each model once.
pub async fn observe(
    conn: &mut PgConnection,
    account_id: AccountId,
    observations: &[Observation],
) -> Result<Vec<String>, Error> {
    let mut columns = Columns::default();
    for observation in observations {
        columns.push(observation);
    }
    let due = sqlx::query_file_scalar!(
        "src/model_syncs/observe.sql",
        account_id as AccountId,
        &columns.model_ids,
        &columns.statuses as &[Option<String>],
        &columns.results as &[Option<String>],
        &columns.are_initial as &[Option<bool>],
        &columns.starts as &[Option<DateTime<Utc>>],
        &columns.next_starts as &[Option<DateTime<Utc>>],
        &columns.ready_through as &[Option<DateTime<Utc>>],
        &columns.refusals as &[Option<String>],
        REFUSAL_HOURS
    )
    .fetch_all(conn)
    .await
    .during("store what was observed of models")?;
    Ok(due.into_iter().flatten().collect())
}

/// Observations by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    model_ids: Vec<String>,
    statuses: Vec<Option<String>>,
    results: Vec<Option<String>>,
    are_initial: Vec<Option<bool>>,
    starts: Vec<Option<DateTime<Utc>>>,
    next_starts: Vec<Option<DateTime<Utc>>>,
    ready_through: Vec<Option<DateTime<Utc>>>,
    refusals: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, observation: &Observation) {
        self.model_ids.push(observation.model_id.clone());
        self.statuses.push(observation.status.clone());
        self.results.push(observation.last_sync_result.clone());
        self.are_initial.push(observation.is_initial_sync);
        self.starts.push(observation.last_sync_start);
        self.next_starts.push(observation.next_sync_start);
        self.ready_through.push(observation.ready_through);
        self.refusals.push(observation.refusal.clone());
    }
}

/// Wants a window of the models of an account, or of one of them, that were stored once, and returns their ids. More than
/// what is wanted already is wanted instead. Take [`crate::linked_accounts::lock`] first.
pub async fn want(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: Option<&str>,
    wanted: Wanted,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        UPDATE syncline.model_syncs
        SET wanted = CASE WHEN wanted = 'whole' THEN wanted ELSE $3 END, wanted_at = now(), updated_at = now()
        WHERE account_id = $1
          AND ($2::text IS NULL OR model_id = $2)
          AND fetched_through IS NOT NULL
          AND refusal IS DISTINCT FROM 'not_selected'
        RETURNING model_id
        "#,
        account_id as AccountId,
        model_id,
        wanted as Wanted
    )
    .fetch_all(conn)
    .await
    .during("want a window of models")
}

/// Wants a sweep of the models of which no window ended for this long, and returns the ids of all models of which
/// anything is wanted. Take [`crate::linked_accounts::lock`] first.
pub async fn want_due_sweeps(
    conn: &mut PgConnection,
    account_id: AccountId,
    after: Duration,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        WITH due AS (
            UPDATE syncline.model_syncs
            SET wanted = 'sweep', wanted_at = now(), updated_at = now()
            WHERE account_id = $1
              AND wanted IS NULL
              AND fetched_through IS NOT NULL
              AND last_fetched_at <= now() - make_interval(secs => $2)
              AND refusal IS NULL
              AND status IS DISTINCT FROM 'DISABLED'
            RETURNING model_id
        )
        SELECT model_id AS "model_id!"
        FROM due
        UNION ALL
        SELECT model_id
        FROM syncline.model_syncs
        WHERE account_id = $1
          AND wanted IS NOT NULL
          AND refusal IS NULL
          AND status IS DISTINCT FROM 'DISABLED'
        ORDER BY 1
        "#,
        account_id as AccountId,
        after.as_secs_f64()
    )
    .fetch_all(conn)
    .await
    .during("want sweeps of models")
}

/// Records that Merge does not give us a model; it no longer holds up the initial sync.
///
/// The next whole window clears it. Until then it is tried again with a new mark, at most daily.
pub async fn refuse(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.model_syncs
        SET refusal = $3, refused_at = now(), updated_at = now()
        WHERE account_id = $1
          AND model_id = $2
        "#,
        account_id as AccountId,
        model_id,
        reason
    )
    .execute(conn)
    .await
    .during("record that a model is refused")?;
    Ok(())
}

/// How far syncing is behind in a category.
#[derive(Debug, Clone, PartialEq)]
pub struct Lag {
    /// `hris`.
    pub category: String,
    /// How long ago the reading began that brought the model that is furthest behind, of an account that is active.
    pub lag: Duration,
}

/// How far syncing is behind in each of these categories; those with nothing to sync are left out.
///
/// Reads an index from its oldest end to the first row that counts: those before it are of accounts that are not active.
pub async fn lags(conn: &mut PgConnection, categories: &[&str]) -> Result<Vec<Lag>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            category AS "category!",
            greatest(extract(epoch FROM now() - oldest.last_synced_at), 0)::float8 AS "seconds!"
        FROM unnest($1::text[]) AS category
        CROSS JOIN LATERAL (
            SELECT model.last_synced_at
            FROM syncline.model_syncs AS model
            WHERE split_part(model.model_id, '.', 1) = category COLLATE "C"
              AND model.last_synced_at IS NOT NULL
              AND model.refusal IS NULL
              AND model.status IS DISTINCT FROM 'DISABLED'
              AND EXISTS (
                  SELECT
                  FROM syncline.linked_accounts AS account
                  WHERE account.id = model.account_id AND account.status = 'active'
              )
            ORDER BY model.last_synced_at
            LIMIT 1
        ) AS oldest
        "#,
        categories as &[&str]
    )
    .fetch_all(conn)
    .await
    .during("look how far syncing is behind")?;
    let lags = rows.into_iter().map(|row| Lag {
        category: row.category,
        lag: Duration::try_from_secs_f64(row.seconds).unwrap_or_default(),
    });
    Ok(lags.collect())
}

/// Removes the models of an account. No page can be stored after it.
pub async fn delete_all(conn: &mut PgConnection, account_id: AccountId) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.model_syncs WHERE account_id = $1",
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("delete the models of a linked account")?;
    Ok(())
}

#[cfg(test)]
mod tests;
