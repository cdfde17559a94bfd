//! The counts agree with a look at all jobs, whatever happens, and nobody waits for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use test_support::TestDatabase;

use super::*;
use crate::{
    Client, Failure, JobId, NewJob,
    admin::{self, Edit, Request, tests::let_go},
    enqueue,
    testing::probe::{self, Act, Probe, Seen},
    worker::{Completion, settle},
};

async fn jobs_in(pool: &PgPool, state: JobState) -> u64 {
    let counts = counts(pool).await.unwrap();
    let of_state = counts.iter().filter(|count| count.state == state);
    of_state.map(|count| count.jobs).sum()
}

#[tokio::test]
async fn counts_tell_what_is_due_from_what_is_scheduled() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let mut connection = pool.acquire().await.unwrap();
    let job = || NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    enqueue(&mut *connection, &job()).await.unwrap();
    let later = job().run_after(Duration::from_hours(1));
    enqueue(&mut *connection, &later).await.unwrap();
    enqueue(&mut *connection, &later).await.unwrap();

    fold(pool).await.unwrap();

    assert_eq!(jobs_in(pool, JobState::Available).await, 1);
    assert_eq!(jobs_in(pool, JobState::Scheduled).await, 2);
}

#[tokio::test]
async fn a_fold_loses_no_delta_that_is_committed_meanwhile() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let mut enqueuing = pool.begin().await.unwrap();
    enqueue(&mut enqueuing, &job).await.unwrap();
    probe::add(pool, &Probe::in_lane("b", Act::Done)).await;

    let first = fold(pool).await.unwrap();
    enqueuing.commit().await.unwrap();
    let between = jobs_in(pool, JobState::Available).await;
    let second = fold(pool).await.unwrap();

    assert_eq!(
        (first, second),
        (1, 1),
        "what was not committed stays for the next"
    );
    assert_eq!((between, jobs_in(pool, JobState::Available).await), (2, 2));
    assert_eq!(check(pool).await.unwrap(), []);
}

#[tokio::test]
async fn zeros_do_not_stay() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    fold(pool).await.unwrap();
    admin::delete(&mut pool.acquire().await.unwrap(), id)
        .await
        .unwrap();
    fold(pool).await.unwrap();

    let rows = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM syncline.job_counts"#)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn many_deltas_are_folded_by_who_reads_them() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::query!(
        r#"
        INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
        SELECT 'sync', 'probe', 'dead', to_timestamp(0), 1
        FROM generate_series(1, $1)
        "#,
        i32::try_from(FOLD_ABOVE).unwrap() + 1,
    )
    .execute(pool)
    .await
    .unwrap();

    let dead = jobs_in(pool, JobState::Dead).await;

    assert_eq!(dead, u64::try_from(FOLD_ABOVE).unwrap() + 1);
    assert_eq!(deltas(pool).await.unwrap(), 0);
}

#[tokio::test]
async fn a_great_fold_leaves_no_room_behind() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::query!(
        r#"
        INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
        SELECT 'sync', 'probe', 'dead', to_timestamp(0), 1
        FROM generate_series(1, $1)
        "#,
        i32::try_from(VACUUM_ABOVE).unwrap() + 1,
    )
    .execute(pool)
    .await
    .unwrap();
    let size = || async {
        sqlx::query_scalar!(r#"SELECT pg_relation_size('syncline.job_count_deltas') AS "size!""#)
            .fetch_one(pool)
            .await
            .unwrap()
    };

    let before = size().await;
    fold(pool).await.unwrap();

    assert!(size().await < before / 10, "{before} bytes were in use");
}

#[tokio::test]
async fn a_wrong_count_is_found_and_put_right() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    sqlx::query!("DELETE FROM syncline.job_count_deltas")
        .execute(pool)
        .await
        .unwrap();

    let found = check(pool).await.unwrap();
    let repaired = repair(pool).await.unwrap();

    let [difference] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((difference.counted, difference.actual), (0, 1));
    assert_eq!(difference.state, "waiting");
    assert_eq!(repaired, found);
    assert_eq!(check(pool).await.unwrap(), []);
}

/// Does one thing somebody might do, chosen at random; refusals are part of life.
async fn do_something(client: &Client, random: &mut StdRng, worker: crate::WorkerId) {
    let pool = client.pool();
    let ids = sqlx::query_scalar!(r#"SELECT id AS "id!" FROM syncline.all_jobs"#)
        .fetch_all(pool)
        .await
        .unwrap();
    let id = match ids.len() {
        0 => JobId::generate(),
        some => JobId(ids[random.random_range(0..some)]),
    };
    let registry = probe::registry();
    let request = Request {
        by: "ops".to_owned(),
        reason: "to see".to_owned(),
    };
    let mut tx = pool.begin().await.unwrap();
    match random.random_range(0..10) {
        0..=2 => {
            let lane = format!("lane-{}", random.random_range(0..3));
            let unique = random.random_bool(0.5).then(|| "key".to_owned());
            let job = Probe {
                unique,
                ..Probe::in_lane(&lane, Act::Done)
            };
            let delay = Duration::from_secs(random.random_range(0..2) * 90);
            let job = NewJob::new(&job)
                .unwrap()
                .max_attempts(random.random_range(1..=2))
                .run_after(delay);
            enqueue(&mut tx, &job).await.unwrap();
        }
        3 => drop(admin::retry(&mut tx, &registry, id).await),
        4 => drop(admin::retry_now(&mut tx, id).await),
        5 => drop(admin::cancel(&mut tx, id, &request).await),
        6 => drop(admin::delete(&mut tx, id).await),
        7 => {
            let run_at = chrono::DateTime::UNIX_EPOCH
                + Duration::from_secs(random.random_range(0..4_000_000_000));
            let edit = Edit {
                run_at: Some(run_at),
                priority: Some(random.random()),
            };
            drop(admin::edit(&mut tx, id, edit).await);
        }
        _ => {
            tx.rollback().await.unwrap();
            return run_something(client, &registry, random, worker).await;
        }
    }
    if random.random_bool(0.9) {
        tx.commit().await.unwrap();
    }
}

async fn run_something(
    client: &Client,
    registry: &Arc<crate::Registry<Seen>>,
    random: &mut StdRng,
    worker: crate::WorkerId,
) {
    let pool = client.pool();
    for (ready, _) in probe::claim_and_start(client, worker).await {
        let error = || "as told".into();
        let answer = match random.random_range(0..4) {
            0 => Ok(Completion::Done),
            1 => Err(Failure::Cancel {
                error: error(),
                class: "told",
            }),
            2 => Err(Failure::Snooze {
                after: Duration::ZERO,
                reason: "not yet".to_owned(),
            }),
            _ => Err(Failure::Retry {
                error: error(),
                class: "told",
                http_status: None,
            }),
        };
        settle::write_one(pool, registry, ready.job, answer)
            .await
            .unwrap();
    }
    let_go(pool, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_agree_with_a_look_at_all_jobs_whatever_happens() {
    const STEPS: usize = 120;
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = Client::new(pool.clone());
    let script = |seed: u64| {
        let client = client.clone();
        async move {
            let worker = probe::worker(client.pool()).await;
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..STEPS {
                do_something(&client, &mut random, worker).await;
            }
        }
    };
    let is_over = AtomicBool::new(false);
    let scripts = async {
        tokio::join!(script(1), script(2));
        is_over.store(true, Ordering::Relaxed);
    };
    let folding = async {
        let (mut folds, mut folded) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            folded += fold(pool).await.unwrap();
            folds += 1;
            // In the midst of everything, and yet exact.
            assert_eq!(check(pool).await.unwrap(), []);
        }
        (folds, folded)
    };

    let ((), (folds, folded)) = tokio::join!(scripts, folding);

    assert!(
        folds > 3 && folded > 100,
        "{folded} deltas were folded in {folds} rounds"
    );
    fold(pool).await.unwrap();
    assert_eq!(check(pool).await.unwrap(), []);
    assert_eq!(deltas(pool).await.unwrap(), 0);
}

#[tokio::test]
async fn the_oldest_due_job_is_known_to_the_minute() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let later = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let later = later.run_after(Duration::from_hours(2));
    enqueue(&mut *connection, &later).await.unwrap();
    let nothing = oldest_due(pool).await.unwrap();
    let id = enqueue(&mut *connection, &job).await.unwrap().id;

    let oldest = oldest_due(pool).await.unwrap();
    let run_at = Client::new(pool.clone())
        .get(id)
        .await
        .unwrap()
        .unwrap()
        .run_at;
    fold(pool).await.unwrap();

    assert_eq!(nothing, []);
    assert_eq!(oldest.len(), 1);
    let behind = run_at - oldest[0].due_minute;
    assert!((0..60).contains(&behind.num_seconds()), "{behind}");
    assert_eq!(oldest_due(pool).await.unwrap(), oldest);
}
