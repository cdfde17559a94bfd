//! Dead jobs by what they died of.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    super::groups::{self, DeadGroup},
    *,
};

/// Says of what a dead job died.
async fn say(pool: &PgPool, id: JobId, message: &str) {
    sqlx::query!(
        "UPDATE syncline.dead_jobs SET last_error = $2 WHERE id = $1",
        id.0,
        message
    )
    .execute(pool)
    .await
    .unwrap();
}

async fn died_of(pool: &PgPool, lane: &str, message: &str) -> JobId {
    let id = dead(pool, &Probe::in_lane(lane, Act::Fail)).await;
    say(pool, id, message).await;
    id
}

async fn only(pool: &PgPool) -> DeadGroup {
    let mut groups = groups::list(pool, 10).await.unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.remove(0)
}

#[tokio::test]
async fn what_differs_only_in_ids_and_numbers_is_one_group() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let messages = [
        "page 3 of 0192f0e0-0000-7000-8000-000000000001 took 1.25 s: key sl_abcdefgh12345678",
        "page 17 of 0192f0e0-0000-7000-8000-0000000000ff took 30 s: key sl_zyxwvuts87654321",
    ];
    for (lane, message) in ["a", "b"].into_iter().zip(messages) {
        died_of(pool, lane, message).await;
    }
    let newest = died_of(pool, "b", messages[0]).await;

    let group = only(pool).await;

    assert_eq!((group.jobs, group.lanes, group.newest), (3, 2, newest));
    assert_eq!(
        (group.kind.as_str(), group.http_status),
        ("probe", Some(500))
    );
    assert_eq!(group.message, messages[0]);
    assert_eq!(group.trend.iter().sum::<i64>(), 3);
    assert_eq!(group.trend.last(), Some(&3));
    assert!(group.first_seen_at < group.last_seen_at && group.is_open());

    died_of(pool, "a", "another thing").await;
    assert_eq!(groups::list(pool, 10).await.unwrap().len(), 2);
    assert_eq!(groups::list(pool, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_is_retried_as_one() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    for _ in 0..3 {
        died_of(pool, "a", "of this").await;
    }
    let group = only(pool).await;
    let other = died_of(pool, "a", "of that").await;
    let client = client(pool);
    let filter = Filter {
        fingerprint: Some(group.fingerprint.clone()),
        ..Filter::default()
    };

    let page = list(&client, &filter, None, 2).await.unwrap();
    let rest = list(&client, &filter, page.next, 2).await.unwrap();
    let confirmation = Bulk::prepare(&client, filter, Action::Retry, ops()).await;
    let confirmation = confirmation.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let progress = confirmation
        .bulk
        .run_batch(&mut tx, &probe::registry(), Progress::default(), 100)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    assert_eq!((page.jobs.len(), rest.jobs.len(), rest.next), (2, 1, None));
    assert_eq!((confirmation.count, progress.done), (3, 3));
    let found = groups::find(pool, &group.fingerprint).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(state(pool, other).await, Some(JobState::Dead));
}

#[tokio::test]
async fn a_resolved_group_is_open_again_when_it_comes_back() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let first = died_of(pool, "a", "of this").await;
    let group = only(pool).await;
    let mut tx = pool.acquire().await.unwrap();

    let resolved = groups::resolve(&mut tx, &group.fingerprint, &ops()).await;
    let unknown = groups::resolve(&mut tx, "no such", &ops()).await;
    let after = only(pool).await;
    died_of(pool, "a", "of this").await;
    delete(&mut tx, first).await.unwrap();
    let again = only(pool).await;

    assert!(resolved.unwrap() && !unknown.unwrap());
    assert!(!after.is_open());
    assert_eq!(after.resolution.unwrap().by, "ops@example.com");
    assert!(again.is_open());
    assert_eq!(again.first_seen_at, group.first_seen_at, "the job is gone");
    assert_eq!(again.jobs, 1);

    assert!(groups::reopen(&mut tx, &group.fingerprint).await.unwrap());
    assert_eq!(only(pool).await.resolution, None);
}

/// As a look at all dead jobs has it: fingerprint, jobs, lanes.
async fn counted_by_hand(pool: &PgPool) -> Vec<(String, i64, i64)> {
    let rows = sqlx::query!(
        r#"
        SELECT fingerprint, count(*) AS "jobs!", count(DISTINCT lane) AS "lanes!"
        FROM syncline.dead_jobs
        GROUP BY fingerprint
        ORDER BY fingerprint
        "#
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let rows = rows.into_iter();
    rows.map(|row| (row.fingerprint, row.jobs, row.lanes))
        .collect()
}

async fn counted(pool: &PgPool) -> Vec<(String, i64, i64)> {
    let groups = groups::list(pool, 100).await.unwrap();
    let groups = groups.into_iter();
    let mut counted: Vec<_> = groups
        .map(|group| (group.fingerprint, group.jobs, group.lanes))
        .collect();
    counted.sort();
    counted
}

#[tokio::test]
async fn the_counts_of_groups_are_those_of_a_look_at_all_jobs_whatever_happens() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let registry = probe::registry();
    let mut random = StdRng::seed_from_u64(7);
    let mut dead_ids: Vec<JobId> = Vec::new();
    for step in 0..60 {
        let mut tx = pool.begin().await.unwrap();
        match random.random_range(0..10) {
            0 | 1 if !dead_ids.is_empty() => {
                let id = dead_ids.swap_remove(random.random_range(0..dead_ids.len()));
                delete(&mut tx, id).await.unwrap();
            }
            2 if !dead_ids.is_empty() => {
                let id = dead_ids.swap_remove(random.random_range(0..dead_ids.len()));
                retry(&mut tx, &registry, id).await.unwrap();
            }
            _ => {
                let lane = ["a", "b", "c"][random.random_range(0..3)];
                let message = ["of this", "of that"][random.random_range(0..2)];
                let id = died_of(pool, lane, message).await;
                dead_ids.push(id);
            }
        }
        tx.commit().await.unwrap();
        // Now and then, so that much or little is folded at once.
        if step % 7 == 0 {
            assert_eq!(
                counted(pool).await,
                counted_by_hand(pool).await,
                "step {step}"
            );
        }
        if step % 11 == 0 {
            groups::maintain(pool).await.unwrap();
        }
    }

    assert_eq!(counted(pool).await, counted_by_hand(pool).await);
    // Those that were retried may have died again.
    let rest = sqlx::query_scalar!("SELECT id FROM syncline.dead_jobs ORDER BY id");
    for id in rest.fetch_all(pool).await.unwrap() {
        let id = JobId(id);
        delete(&mut pool.acquire().await.unwrap(), id)
            .await
            .unwrap();
    }
    assert_eq!(counted(pool).await, []);
    let left = sqlx::query_scalar!(
        r#"
        SELECT (SELECT count(*) FROM syncline.dead_group_lanes)
            + (SELECT count(*) FROM syncline.dead_group_totals) AS "left!"
        "#
    );
    assert_eq!(left.fetch_one(pool).await.unwrap(), 0);
}
