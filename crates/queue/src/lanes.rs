//! Lanes as people see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use crate::{
    error::Error,
    ids::{Lane, WorkerId},
};

/// Jobs of a lane that are counted.
pub const MOST_COUNTED: i64 = 1_000;
/// Lanes looked at to find those that rest.
const LOOKED_AT: i64 = 5_000;

/// A lane, who has it, and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LaneView {
    /// Its name.
    pub lane: Lane,
    /// Who works in it.
    pub owner: Option<WorkerId>,
    /// The machine and the process of that worker.
    pub owner_process: Option<String>,
    /// When somebody looks at it next; means nothing while it is owned.
    pub due_at: Option<DateTime<Utc>>,
    /// The far side asked for silence until then.
    pub blocked_until: Option<DateTime<Utc>>,
    /// Why.
    pub blocked_reason: Option<String>,
    /// When the whole burst of its rate limit is free again; `None`: it is. Means nothing while it is owned: then only the
    /// owner knows.
    pub burst_free_at: Option<DateTime<Utc>>,
    /// Workers in a row that ended while they ran its jobs.
    pub crashes: i16,
    /// Jobs that run.
    pub running: i64,
    /// Jobs that are due and wait; as all counts of a lane, of its first thousand jobs.
    pub due: i64,
    /// Jobs that wait for their time.
    pub scheduled: i64,
    /// Since when the oldest of those that are due waits.
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// The lanes that are worked, that wait longest for a worker, and that rest: `limit` of each, those that wait longest
/// first.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(pool: &PgPool, limit: u16) -> Result<Vec<LaneView>, Error> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT lane AS "lane!"
        FROM (
            (SELECT lane FROM syncline.lanes WHERE owner IS NOT NULL ORDER BY lane LIMIT $1)
            UNION
            (
                SELECT lane
                FROM syncline.lanes
                WHERE owner IS NULL AND due_at <= now()
                ORDER BY due_at
                LIMIT $1
            )
            UNION
            (
                SELECT lane
                FROM (
                    SELECT lane, blocked_until
                    FROM syncline.lanes
                    WHERE owner IS NULL AND due_at > now()
                    ORDER BY due_at
                    LIMIT $2
                ) AS next
                WHERE blocked_until > now()
                ORDER BY blocked_until DESC
                LIMIT $1
            )
        ) AS chosen
        ORDER BY lane
        LIMIT 3 * $1
        "#,
        i64::from(limit),
        LOOKED_AT,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("list lanes"))?;
    describe(pool, &names).await
}

/// A lane by its name; `None` when nothing ever happened in it.
///
/// # Errors
/// [`Error::Database`].
pub async fn find(pool: &PgPool, lane: &Lane) -> Result<Option<LaneView>, Error> {
    let mut found = describe(pool, &[lane.as_str().to_owned()]).await?;
    Ok(found.pop())
}

async fn describe(pool: &PgPool, names: &[String]) -> Result<Vec<LaneView>, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            l.lane, l.owner, w.host AS "host?", w.pid AS "pid?", l.due_at, l.blocked_until, l.blocked_reason,
            l.limiter_tat, l.crashes, jobs.running AS "running!", jobs.due AS "due!", jobs.scheduled AS "scheduled!",
            jobs.oldest_due_at
        FROM syncline.lanes l
        LEFT JOIN syncline.workers w ON w.id = l.owner
        CROSS JOIN LATERAL (
            SELECT
                count(*) FILTER (WHERE started_at IS NOT NULL) AS running,
                count(*) FILTER (WHERE started_at IS NULL AND run_at <= now()) AS due,
                count(*) FILTER (WHERE started_at IS NULL AND run_at > now()) AS scheduled,
                min(run_at) FILTER (WHERE started_at IS NULL AND run_at <= now()) AS oldest_due_at
            FROM (SELECT started_at, run_at FROM syncline.jobs j WHERE j.lane = l.lane LIMIT $2) AS first
        ) AS jobs
        WHERE l.lane = ANY ($1)
        ORDER BY jobs.oldest_due_at NULLS LAST, jobs.running DESC, l.lane
        "#,
        names,
        MOST_COUNTED,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("look at lanes"))?;
    let lanes = rows.into_iter().map(|row| LaneView {
        lane: Lane::from_stored(row.lane),
        owner: row.owner.map(WorkerId),
        owner_process: row
            .host
            .zip(row.pid)
            .map(|(host, pid)| format!("{host}:{pid}")),
        due_at: row.due_at,
        blocked_until: row.blocked_until,
        blocked_reason: row.blocked_reason,
        burst_free_at: row.limiter_tat,
        crashes: row.crashes,
        running: row.running,
        due: row.due,
        scheduled: row.scheduled,
        oldest_due_at: row.oldest_due_at,
    });
    Ok(lanes.collect())
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;
    use crate::testing::probe::{self, Act, Probe};

    #[tokio::test]
    async fn lanes_that_wait_longest_come_first() {
        let database = TestDatabase::new().await;
        let pool = database.pool();
        probe::add(pool, &Probe::in_lane("late", Act::Done)).await;
        probe::add(pool, &Probe::in_lane("later", Act::Done)).await;
        probe::add(pool, &Probe::in_lane("later", Act::Done)).await;
        sqlx::query!(
            "UPDATE syncline.jobs SET run_at = run_at - interval '1 hour' WHERE lane = 'org:late'"
        )
        .execute(pool)
        .await
        .unwrap();

        let lanes = list(pool, 10).await.unwrap();

        let shown: Vec<_> = lanes
            .iter()
            .map(|lane| (lane.lane.as_str(), lane.due))
            .collect();
        assert_eq!(shown, [("org:late", 1), ("org:later", 2)]);
        assert!(lanes[0].oldest_due_at < lanes[1].oldest_due_at);
        assert_eq!(list(pool, 1).await.unwrap().len(), 1);
        let none = find(pool, &Lane::organization("none")).await.unwrap();
        assert_eq!(none, None);
    }

    #[tokio::test]
    async fn a_lane_that_rests_says_why_and_until_when() {
        let database = TestDatabase::new().await;
        let pool = database.pool();
        probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
        sqlx::query!(
            r#"
            UPDATE syncline.lanes
            SET due_at = now() + interval '1 hour', blocked_until = now() + interval '1 hour',
                blocked_reason = 'too many requests'
            "#
        )
        .execute(pool)
        .await
        .unwrap();

        let lanes = list(pool, 10).await.unwrap();

        assert_eq!(
            lanes[0].blocked_reason.as_deref(),
            Some("too many requests")
        );
        assert!(lanes[0].blocked_until.is_some() && lanes[0].owner.is_none());
    }
}
