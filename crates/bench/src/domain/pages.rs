//! The same pages, already in memory, stored by one statement each, written by hand: what Postgres can do at most.

#![expect(
    clippy::disallowed_methods,
    reason = "a table of the benchmark's own is unknown to the checks"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::server::Database;
use crate::sql;

/// Pages that are stored at once: as many as our worker fetches by default.
const CONNECTIONS: u32 = 16;

/// Records of one model, by column, as many as one answer of Merge holds.
#[derive(Debug, FromRow)]
pub(crate) struct Page {
    account_id: Uuid,
    model_id: String,
    merge_ids: Vec<String>,
    remote_ids: Vec<Option<String>>,
    data: Vec<String>,
    modified_at: Vec<Option<DateTime<Utc>>>,
    created_at: Vec<Option<DateTime<Utc>>>,
    are_deleted: Vec<bool>,
}

/// Reads what we stored as the pages it came in.
pub(crate) async fn read(database: &Database) -> Result<Vec<Page>> {
    let mut connection = database.connect().await?;
    let pages = sqlx::query_as(
        "SELECT
             account_id, model_id, array_agg(merge_id) AS merge_ids, array_agg(remote_id) AS remote_ids,
             array_agg(data::text) AS data, array_agg(modified_at) AS modified_at,
             array_agg(created_at) AS created_at, array_agg(is_deleted) AS are_deleted
         FROM (
             SELECT *, (row_number() OVER (PARTITION BY account_id, model_id ORDER BY merge_id) - 1) / 100 AS page
             FROM syncline.model_records
         ) AS records
         GROUP BY account_id, model_id, page
         ORDER BY model_id, page, account_id",
    );
    let pages = pages.fetch_all(&mut connection).await;
    pages.context("cannot read the records that were stored")
}

/// Stores all pages; answers how long it took.
pub(crate) async fn store(database: &Database, pages: &Arc<Vec<Page>>) -> Result<Duration> {
    let pool = database.pool(CONNECTIONS).await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut storing = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CONNECTIONS {
        storing.spawn(store_some(
            pool.clone(),
            Arc::clone(pages),
            Arc::clone(&next),
        ));
    }
    while let Some(stored) = storing.join_next().await {
        stored??;
    }
    let took = begun.elapsed();
    let records: usize = pages.iter().map(|page| page.merge_ids.len()).sum();
    let stored = sql::number(&pool, "SELECT count(*) FROM by_hand").await?;
    ensure!(
        usize::try_from(stored) == Ok(records),
        "{stored} of {records} records were stored by hand"
    );
    pool.close().await;
    Ok(took)
}

async fn store_some(pool: PgPool, pages: Arc<Vec<Page>>, next: Arc<AtomicUsize>) -> Result<()> {
    let mut connection = pool.acquire().await?;
    while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
        let upsert = sqlx::query(
            "INSERT INTO by_hand (
                 account_id, model_id, merge_id, remote_id, data, modified_at, created_at, is_deleted, first_seen_at,
                 changed_at
             )
             SELECT $1, $2, page.*, now(), now()
             FROM (
                 SELECT merge_id, remote_id, data::jsonb, modified_at, created_at, is_deleted
                 FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::boolean[])
                     AS t (merge_id, remote_id, data, modified_at, created_at, is_deleted)
             ) AS page
             ON CONFLICT (account_id, model_id, merge_id) DO UPDATE
             SET remote_id = excluded.remote_id,
                 data = excluded.data,
                 modified_at = excluded.modified_at,
                 created_at = excluded.created_at,
                 is_deleted = excluded.is_deleted,
                 changed_at = excluded.changed_at
             WHERE by_hand.modified_at <= excluded.modified_at",
        );
        upsert
            .bind(page.account_id)
            .bind(&page.model_id)
            .bind(&page.merge_ids)
            .bind(&page.remote_ids)
            .bind(&page.data)
            .bind(&page.modified_at)
            .bind(&page.created_at)
            .bind(&page.are_deleted)
            .execute(&mut *connection)
            .await
            .context("cannot store a page by hand")?;
    }
    Ok(())
}
