//! Dead jobs by what they died of.
//!
//! A job's fingerprint covers its kind, the class of the error, the HTTP status, and the message without ids and
//! numbers; the database computes it when the job dies. A group is what has one fingerprint. To retry or delete a
//! group, act on the jobs of [`super::Filter::fingerprint`].
//!
//! Nobody looks at dead jobs to count them: what comes to and goes from their table is appended to `dead_group_deltas` by
//! a trigger, with each statement, and folded into the counts of groups when somebody looks, or by house-keeping. So a list
//! of groups costs as much as there are groups, whether ten jobs died or a million. Somebody may call one resolved; it is
//! open again by itself, as soon as a job died of it after that.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::act::Request;
use crate::{error::Error, ids::JobId, view::unsigned};

/// Who folds holds this advisory lock: two at once would only wait for each other.
const LOCK: &str = "syncline.dead_groups";
/// Deltas that somebody who looks folds, at most: some 30 ms. After more at once the counts are behind, until house-keeping
/// has done the rest.
const FOLDED_BY_READERS: i64 = 1_000;
/// Deltas that house-keeping folds in one transaction.
const FOLDED_AT_ONCE: i64 = 50_000;
/// Hours that a trend covers.
pub const TREND_HOURS: usize = 24;

/// Dead jobs that died of the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DeadGroup {
    /// What they have in common.
    pub fingerprint: String,
    /// Their type.
    pub kind: String,
    /// The class of their errors.
    pub error_class: String,
    /// What the far side answered.
    pub http_status: Option<u16>,
    /// The message of the newest.
    pub message: String,
    /// The newest.
    pub newest: JobId,
    /// How many.
    pub jobs: i64,
    /// In how many lanes.
    pub lanes: i64,
    /// When the first died, also if it is gone since.
    pub first_seen_at: DateTime<Utc>,
    /// When the last died.
    pub last_seen_at: DateTime<Utc>,
    /// Deaths in each of the last 24 hours by the clock, the oldest first; the last is under way. Also of jobs that are
    /// gone since.
    pub trend: Vec<i64>,
    /// What somebody said about it.
    pub resolution: Option<Resolution>,
}

/// Somebody called a group resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Resolution {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl DeadGroup {
    /// Whether somebody has to look at it: nobody called it resolved, or jobs died of it afterwards.
    pub fn is_open(&self) -> bool {
        self.resolution
            .as_ref()
            .is_none_or(|resolution| resolution.at < self.last_seen_at)
    }
}

/// The groups there are, those seen last first, at most `limit`. Never looks at more of their jobs than the newest.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(pool: &PgPool, limit: u16) -> Result<Vec<DeadGroup>, Error> {
    read(pool, None, limit).await
}

/// One group; `None` when no dead job belongs to it.
///
/// # Errors
/// [`Error::Database`].
pub async fn find(pool: &PgPool, fingerprint: &str) -> Result<Option<DeadGroup>, Error> {
    Ok(read(pool, Some(fingerprint), 1).await?.pop())
}

async fn read(
    pool: &PgPool,
    fingerprint: Option<&str>,
    limit: u16,
) -> Result<Vec<DeadGroup>, Error> {
    fold(pool, FOLDED_BY_READERS).await?;
    let rows = sqlx::query_file!("src/admin/groups.sql", fingerprint, i64::from(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::database("list groups of dead jobs"))?;
    let mut groups: Vec<DeadGroup> = rows
        .into_iter()
        .map(|row| DeadGroup {
            fingerprint: row.fingerprint,
            kind: row.kind,
            error_class: row.error_class,
            http_status: row.http_status.map(unsigned),
            message: row.message,
            newest: JobId(row.newest),
            jobs: row.jobs,
            lanes: row.lanes,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            trend: vec![0; TREND_HOURS],
            resolution: row
                .resolved_by
                .zip(row.reason)
                .zip(row.resolved_at)
                .map(|((by, reason), at)| Resolution { by, reason, at }),
        })
        .collect();
    add_trends(pool, &mut groups).await?;
    Ok(groups)
}

async fn add_trends(pool: &PgPool, groups: &mut [DeadGroup]) -> Result<(), Error> {
    let names: Vec<String> = groups
        .iter()
        .map(|group| group.fingerprint.clone())
        .collect();
    let rows = sqlx::query!(
        r#"
        SELECT
            fingerprint, deaths,
            (extract(epoch FROM date_trunc('hour', now(), 'UTC') - hour) / 3600)::integer AS "hours_ago!"
        FROM syncline.dead_group_hours
        WHERE fingerprint = ANY ($1)
          AND hour > now() - interval '1 day'
        ORDER BY fingerprint, hour
        LIMIT 100000
        "#,
        &names,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("read the trends of dead jobs"))?;
    for row in rows {
        let group = groups
            .iter_mut()
            .find(|group| group.fingerprint == row.fingerprint);
        let hour = usize::try_from(row.hours_ago)
            .ok()
            .and_then(|ago| (TREND_HOURS - 1).checked_sub(ago));
        if let (Some(group), Some(hour)) = (group, hour) {
            group.trend[hour] = row.deaths;
        }
    }
    Ok(())
}

/// Moves what came and went since the last time into the counts, `at_most` rows of it; answers how many rows that were.
///
/// Safe at any time, by many at once: who comes second leaves it to the first.
async fn fold(pool: &PgPool, at_most: i64) -> Result<i64, Error> {
    let folding = "fold the counts of dead jobs";
    let mut tx = pool
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    let is_ours = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT FROM syncline.dead_group_deltas) AND pg_try_advisory_xact_lock(hashtext($1)) AS "is_ours!"
        "#,
        LOCK
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database(folding))?;
    if !is_ours {
        return Ok(0);
    }
    let taken = sqlx::query_file_scalar!("src/admin/groups/fold.sql", at_most)
        .fetch_one(&mut *tx)
        .await
        .map_err(Error::database(folding))?;
    // Who left a lane or a group last leaves a zero behind.
    sqlx::query!("DELETE FROM syncline.dead_group_lanes WHERE jobs = 0")
        .execute(&mut *tx)
        .await
        .map_err(Error::database(folding))?;
    sqlx::query!("DELETE FROM syncline.dead_group_totals WHERE jobs = 0")
        .execute(&mut *tx)
        .await
        .map_err(Error::database(folding))?;
    tx.commit().await.map_err(Error::database(folding))?;
    Ok(taken)
}

/// House-keeping: folds everything, and forgets the hours that no trend covers.
pub(crate) async fn maintain(pool: &PgPool) -> Result<u64, Error> {
    let mut folded = 0;
    loop {
        let taken = fold(pool, FOLDED_AT_ONCE).await?;
        folded += taken.try_into().unwrap_or(0);
        if taken < FOLDED_AT_ONCE {
            break;
        }
    }
    sqlx::query!("DELETE FROM syncline.dead_group_hours WHERE hour < now() - interval '25 hours'")
        .execute(pool)
        .await
        .map_err(Error::database("forget how many died when"))?;
    Ok(folded)
}

/// Calls a group resolved, until another job dies of it; false when no dead job belongs to it.
///
/// # Errors
/// [`Error::InvalidName`] for a request without a name or a reason, [`Error::Database`].
pub async fn resolve(
    tx: &mut PgConnection,
    fingerprint: &str,
    request: &Request,
) -> Result<bool, Error> {
    request.check()?;
    let resolved = sqlx::query!(
        r#"
        INSERT INTO syncline.dead_groups AS g (fingerprint, first_seen_at, resolved_at, resolved_by, reason)
        SELECT $1, least(oldest.finished_at, counted.first_died_at), now(), $2, $3
        FROM (
            SELECT finished_at FROM syncline.dead_jobs WHERE fingerprint = $1 ORDER BY id LIMIT 1
        ) AS oldest
        LEFT JOIN syncline.dead_group_totals counted ON counted.fingerprint = $1
        ON CONFLICT (fingerprint) DO UPDATE
        SET first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
            resolved_at = excluded.resolved_at,
            resolved_by = excluded.resolved_by,
            reason = excluded.reason
        "#,
        fingerprint,
        request.by,
        request.reason,
    )
    .execute(tx)
    .await
    .map_err(Error::database("resolve a group of dead jobs"))?;
    Ok(resolved.rows_affected() == 1)
}

/// Takes a resolution back; false when there is none.
///
/// # Errors
/// [`Error::Database`].
pub async fn reopen(tx: &mut PgConnection, fingerprint: &str) -> Result<bool, Error> {
    let reopened = sqlx::query!(
        "DELETE FROM syncline.dead_groups WHERE fingerprint = $1",
        fingerprint
    )
    .execute(tx)
    .await
    .map_err(Error::database("reopen a group of dead jobs"))?;
    Ok(reopened.rows_affected() == 1)
}
