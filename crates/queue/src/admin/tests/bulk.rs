//! Actions on all jobs that fulfil a filter.

use super::*;

async fn run_all(pool: &PgPool, bulk: &Bulk, limit: u16) -> Progress {
    let registry = probe::registry();
    let mut progress = Progress::default();
    while !progress.is_complete {
        let mut tx = pool.begin().await.unwrap();
        progress = bulk
            .run_batch(&mut tx, &registry, progress, limit)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    progress
}

fn in_lane(lane: &str) -> Filter {
    Filter {
        lane: Some(Lane::organization(lane).as_str().to_owned()),
        ..Filter::default()
    }
}

#[tokio::test]
async fn a_group_of_dead_jobs_is_retried_in_batches() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    for _ in 0..7 {
        dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    }
    let other = dead(pool, &Probe::in_lane("b", Act::Fail)).await;
    let client = client(pool);

    let confirmation = Bulk::prepare(&client, in_lane("a"), Action::Retry, ops())
        .await
        .unwrap();
    let progress = run_all(pool, &confirmation.bulk, 3).await;

    assert_eq!((confirmation.count, confirmation.sample.len()), (7, 7));
    assert_eq!((progress.done, progress.skipped), (7, 0));
    assert_eq!(run_due(pool).await, 7);
    assert_eq!(state(pool, other).await, Some(JobState::Dead));
}

#[tokio::test]
async fn what_came_after_the_confirmation_is_not_touched() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let before = dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    let alive = probe::add(pool, &Probe::in_lane("a", Act::Fail)).await;
    let client = client(pool);

    let confirmation = Bulk::prepare(&client, in_lane("a"), Action::Delete, ops()).await;
    let only_dead = Filter {
        states: vec![JobState::Dead],
        ..in_lane("a")
    };
    let of_dead = Bulk::prepare(&client, only_dead, Action::Delete, ops())
        .await
        .unwrap();
    let created_after = dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    for _ in 0..2 {
        testing::advance(pool, Duration::from_hours(1))
            .await
            .unwrap();
        run_due(pool).await;
    }
    let progress = run_all(pool, &of_dead.bulk, 10).await;

    assert_eq!(confirmation.unwrap().count, 2);
    assert_eq!((of_dead.count, progress.done), (1, 1));
    assert_eq!(state(pool, before).await, None);
    assert_eq!(state(pool, created_after).await, Some(JobState::Dead));
    assert_eq!(
        state(pool, alive).await,
        Some(JobState::Dead),
        "it died afterwards"
    );
}

#[tokio::test]
async fn a_batch_that_was_rolled_back_is_done_again_and_an_interrupted_action_goes_on() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let registry = probe::registry();
    for n in 0..5 {
        probe::add(pool, &Probe::in_lane(&format!("lane-{n}"), Act::Done)).await;
    }
    let filter = Filter {
        kinds: vec!["probe".to_owned()],
        ..Filter::default()
    };
    let bulk = Bulk::prepare(&client(pool), filter, Action::Cancel, ops())
        .await
        .unwrap()
        .bulk;

    let mut tx = pool.begin().await.unwrap();
    let lost = bulk
        .run_batch(&mut tx, &registry, Progress::default(), 2)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let first = bulk
        .run_batch(&mut tx, &registry, Progress::default(), 2)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // As a job would store them.
    let stored = serde_json::to_string(&(&bulk, first)).unwrap();
    let (bulk, progress): (Bulk, Progress) = serde_json::from_str(&stored).unwrap();
    let mut tx = pool.begin().await.unwrap();
    let rest = bulk
        .run_batch(&mut tx, &registry, progress, 10)
        .await
        .unwrap();
    let over = bulk.run_batch(&mut tx, &registry, rest, 10).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(lost, first);
    assert_eq!((rest.done, rest.is_complete), (5, true));
    assert_eq!(over, rest);
    assert_eq!(run_due(pool).await, 0);
    assert_eq!(crate::counts::check(pool).await.unwrap(), []);
}

#[tokio::test]
async fn what_changed_meanwhile_or_has_a_twin_is_skipped_and_counted() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        ..Probe::in_lane("a", Act::Fail)
    };
    dead(pool, &job).await;
    dead(pool, &job).await;
    dead(pool, &Probe::in_lane("a", Act::Fail)).await;

    let bulk = Bulk::prepare(&client(pool), in_lane("a"), Action::Retry, ops())
        .await
        .unwrap()
        .bulk;
    let progress = run_all(pool, &bulk, 100).await;

    assert_eq!(
        (progress.done, progress.skipped),
        (2, 1),
        "two jobs want the same key"
    );
}

#[tokio::test]
async fn an_action_that_cannot_be_done_is_refused_before_it_is_confirmed() {
    let database = TestDatabase::new().await;
    let client = client(database.pool());
    let running = Filter {
        states: vec![JobState::Running],
        ..Filter::default()
    };

    let error = Bulk::prepare(&client, running, Action::Delete, ops())
        .await
        .unwrap_err();

    assert!(
        error
            .to_string()
            .contains("cannot be done to jobs that are running"),
        "{error}"
    );
}

#[tokio::test]
async fn a_batch_gives_way_to_somebody_who_enqueues() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let id = probe::add(pool, &job).await;
    let bulk = Bulk::prepare(&client(pool), in_lane("a"), Action::Cancel, ops())
        .await
        .unwrap()
        .bulk;
    let mut enqueuing = pool.begin().await.unwrap();
    enqueue(&mut enqueuing, &NewJob::new(&job).unwrap())
        .await
        .unwrap();

    let mut tx = pool.begin().await.unwrap();
    let registry = probe::registry();
    let batch = bulk.run_batch(&mut tx, &registry, Progress::default(), 10);
    let refused = tokio::time::timeout(Duration::from_secs(30), batch).await;
    enqueuing.commit().await.unwrap();
    tx.rollback().await.unwrap();
    let progress = run_all(pool, &bulk, 10).await;

    let refused = refused.expect("it does not wait for ever");
    assert!(
        matches!(refused, Err(Error::Database { .. })),
        "{refused:?}"
    );
    assert_eq!(progress.done, 1);
    assert_eq!(state(pool, id).await, Some(JobState::Cancelled));
}
