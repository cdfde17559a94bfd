//! Bulk actions that are prepared by one and done by another.

use super::{
    super::bulk_actions::{self, State},
    *,
};

#[tokio::test]
async fn an_action_is_done_as_it_was_confirmed_and_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    for _ in 0..3 {
        dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    }
    let client = client(pool);
    let confirmation = Bulk::prepare(&client, Filter::default(), Action::Retry, ops());
    let confirmation = confirmation.await.unwrap();
    let mut tx = pool.acquire().await.unwrap();
    let id = bulk_actions::keep(&mut tx, &confirmation).await.unwrap();
    let job = JobId::generate();

    let prepared = bulk_actions::find(&mut tx, id).await.unwrap().unwrap();
    let unlisted = bulk_actions::list(&mut tx, 9).await.unwrap();
    let stopped_early = bulk_actions::stop(&mut tx, id, "ops").await.unwrap();
    let started = bulk_actions::start(&mut tx, id, job).await.unwrap();
    let started_twice = bulk_actions::start(&mut tx, id, job).await.unwrap();
    let progress = confirmation
        .bulk
        .run_batch(&mut tx, &probe::registry(), prepared.progress, 2)
        .await
        .unwrap();
    bulk_actions::save(&mut tx, id, progress, None)
        .await
        .unwrap();
    let running = bulk_actions::find(&mut tx, id).await.unwrap().unwrap();

    assert_eq!((prepared.state, prepared.jobs), (State::Prepared, 3));
    assert_eq!(prepared.bulk, confirmation.bulk);
    assert_eq!(prepared.sample.len(), 3);
    assert!(unlisted.is_empty() && !stopped_early);
    assert!(started && !started_twice);
    assert_eq!(running.progress, progress);
    assert_eq!((running.state, running.job_id), (State::Running, Some(job)));

    assert!(bulk_actions::stop(&mut tx, id, "ben").await.unwrap());
    bulk_actions::save(&mut tx, id, progress, Some(State::Stopped))
        .await
        .unwrap();
    let ended = bulk_actions::list(&mut tx, 9).await.unwrap().remove(0);
    assert_eq!((ended.state, ended.progress.done), (State::Stopped, 2));
    assert_eq!(ended.stopped_by.as_deref(), Some("ben"));
    assert!(ended.ended_at.is_some());
}

#[tokio::test]
async fn what_was_counted_long_ago_cannot_be_started() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let confirmation = Bulk::prepare(&client, Filter::default(), Action::Retry, ops());
    let mut tx = pool.acquire().await.unwrap();
    let id = bulk_actions::keep(&mut tx, &confirmation.await.unwrap())
        .await
        .unwrap();
    sqlx::query!("UPDATE syncline.bulk_actions SET prepared_at = now() - interval '61 minutes'")
        .execute(&mut *tx)
        .await
        .unwrap();

    let started = bulk_actions::start(&mut tx, id, JobId::generate()).await;

    assert!(!started.unwrap());
}
