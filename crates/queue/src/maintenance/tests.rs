//! What is kept, and what goes.

use test_support::TestDatabase;

use super::*;
use crate::{
    JobState, NewJob,
    counts::{check, counts},
    enqueue,
    testing::{
        self,
        probe::{self, Act, Probe, Seen},
    },
};

const MONTH: Retention = Retention {
    history: Duration::from_hours(30 * 24),
    workers: Duration::from_hours(30 * 24),
};

/// Moves everything that ended back by so many days, as if it had been left lying.
async fn age(pool: &PgPool, days: i32) {
    #[expect(
        clippy::disallowed_methods,
        reason = "makes a partition of the past, as no product code does"
    )]
    let partition = sqlx::query(
        r"
        DO $$
        DECLARE day date := (now() AT TIME ZONE 'UTC')::date - 40;
        BEGIN
            EXECUTE format(
                'CREATE TABLE syncline.%I PARTITION OF syncline.job_history FOR VALUES FROM (%L) TO (%L)',
                'job_history_' || to_char(day, 'YYYYMMDD'),
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
            );
        END $$
        ",
    );
    partition.execute(pool).await.unwrap();
    sqlx::query!(
        "UPDATE syncline.job_history SET finished_at = finished_at - make_interval(days => $1)",
        days
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query!(
        r#"
        UPDATE syncline.job_count_deltas
        SET bucket = bucket - make_interval(days => $1)
        WHERE state IN ('completed', 'cancelled')
        "#,
        days
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query!(
        "UPDATE syncline.dead_jobs SET finished_at = finished_at - make_interval(days => $1)",
        days
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn history_goes_with_its_day_and_its_counts_while_the_dead_stay() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let done = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let fails = NewJob::new(&Probe::in_lane("a", Act::Fail))
        .unwrap()
        .max_attempts(1);
    let dead = enqueue(&mut *pool.acquire().await.unwrap(), &fails)
        .await
        .unwrap()
        .id;
    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();
    age(pool, 40).await;

    let first = run(pool, MONTH).await.unwrap();
    let second = run(pool, MONTH).await.unwrap();

    let client = crate::Client::new(pool.clone());
    assert_eq!((first.partitions, second.partitions), (1, 0));
    assert!(client.get(done).await.unwrap().is_none());
    let job = client.get(dead).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(check(pool).await.unwrap(), []);
    let left: Vec<_> = counts(pool)
        .await
        .unwrap()
        .iter()
        .map(|count| count.state)
        .collect();
    assert_eq!(left, [JobState::Dead]);
}

#[tokio::test]
async fn a_job_that_died_before_what_is_kept_can_still_be_retried() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let fails = NewJob::new(&Probe::in_lane("a", Act::Fail))
        .unwrap()
        .max_attempts(1);
    let dead = enqueue(&mut *pool.acquire().await.unwrap(), &fails)
        .await
        .unwrap()
        .id;
    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();
    age(pool, 400).await;

    let revived = admin::retry(&mut pool.acquire().await.unwrap(), &probe::registry(), dead)
        .await
        .unwrap();

    assert_eq!(revived, dead);
}

#[tokio::test]
async fn what_has_expired_goes() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::query!(
        r#"
        INSERT INTO syncline.pauses (scope, name, paused_by, reason, paused_until)
        VALUES
            ('kind', 'old', 'ops', '', now() - interval '2 days'),
            ('kind', 'recent', 'ops', '', now() - interval '1 hour'),
            ('kind', 'open', 'ops', '', NULL)
        "#
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query!(
        r#"
        INSERT INTO syncline.cancellations (job_id, requested_by, reason)
        VALUES (gen_random_uuid(), 'ops', 'gone meanwhile')
        "#
    )
    .execute(pool)
    .await
    .unwrap();

    let report = run(pool, MONTH).await.unwrap();

    assert_eq!(
        (report.pauses, report.requests, report.cancelled),
        (1, 1, 0)
    );
}
