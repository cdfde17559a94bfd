//! Promises P2 and P3: what a worker that is gone, or only seems so, can and cannot do.

use super::*;
use crate::Error;

async fn rescue(pool: &PgPool) -> u64 {
    lease::rescue(&mut pool.acquire().await.unwrap(), Duration::from_secs(1))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Effect)).await;
    let client = client(pool);
    let stale = probe::worker(pool).await;
    let (ready, attempt) = probe::claim_and_start(&client, stale).await.pop().unwrap();
    probe::expire(pool, stale).await;

    let rescued = rescue(pool).await;
    let begun = attempt.begin().await;
    settle::write_one(pool, &probe::registry(), ready.job, Ok(Completion::Done))
        .await
        .unwrap();

    assert_eq!(rescued, 1);
    assert!(matches!(begun, Err(Error::Fenced { .. })), "{begun:?}");
    assert!(probe::effects(pool).await.is_empty());
    let job = client.get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Retryable, 1));
    assert_eq!(job.attempts[0].outcome, "crashed");
}

#[tokio::test]
async fn a_stale_worker_cannot_write_under_its_successor_either() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Effect)).await;
    let client = client(pool);
    let (stale, successor) = (probe::worker(pool).await, probe::worker(pool).await);
    let (ready, mut attempt) = probe::claim_and_start(&client, stale).await.pop().unwrap();
    probe::expire(pool, stale).await;
    rescue(pool).await;
    testing::advance(pool, Duration::from_mins(1))
        .await
        .unwrap();
    let (_, mut rightful) = probe::claim_and_start(&client, successor)
        .await
        .pop()
        .unwrap();

    let refused = attempt.begin().await;
    settle::write_one(pool, &probe::registry(), ready.job, Ok(Completion::Done))
        .await
        .unwrap();
    let mut tx = rightful.begin().await.unwrap();
    probe::note_effect(&mut tx, id).await;
    rightful
        .complete(tx, serde_json::Value::Null)
        .await
        .unwrap();

    assert!(matches!(refused, Err(Error::Fenced { .. })));
    assert_eq!(
        probe::effects(pool).await,
        [id.0],
        "one effect, by the rightful worker"
    );
    assert_eq!(
        client.get(id).await.unwrap().unwrap().state,
        JobState::Completed
    );
    assert!(!attempt.is_complete());
    let _ = &mut attempt;
}

/// Handing back gives the attempt back, so the successor's has the same number: only owner and epoch tell
/// them apart.
#[tokio::test]
async fn a_handler_that_outlives_its_drained_worker_changes_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Effect)).await;
    let client = client(pool);
    let (drained, successor) = (probe::worker(pool).await, probe::worker(pool).await);
    let (ready, attempt) = probe::claim_and_start(&client, drained)
        .await
        .pop()
        .unwrap();
    let claimed = lease::holdings(&mut pool.acquire().await.unwrap(), drained, &[])
        .await
        .unwrap()
        .pop()
        .unwrap();
    let releasable = release::Releasable {
        lane: claimed.lane,
        epoch: claimed.epoch,
        limiter_ahead: Duration::ZERO,
        is_doubtful: false,
    };
    release::release(
        &mut pool.acquire().await.unwrap(),
        drained,
        &[releasable],
        &Settings::default().served(),
    )
    .await
    .unwrap();
    let (_, rightful) = probe::claim_and_start(&client, successor)
        .await
        .pop()
        .unwrap();

    let begun = attempt.begin().await;
    settle::write_one(pool, &probe::registry(), ready.job, Ok(Completion::Done))
        .await
        .unwrap();

    assert_eq!(rightful.number(), attempt.number());
    assert!(matches!(begun, Err(Error::Fenced { .. })), "{begun:?}");
    assert_eq!(
        client.get(id).await.unwrap().unwrap().state,
        JobState::Running
    );
    assert!(rightful.begin().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_waits_for_a_transaction_behind_the_fence() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Effect)).await;
    let client = client(pool);
    let worker = probe::worker(pool).await;
    let (_, mut attempt) = probe::claim_and_start(&client, worker).await.pop().unwrap();
    let mut tx = attempt.begin().await.unwrap();
    probe::expire(pool, worker).await;

    // Skips the locked lane rather than wait for it; takes it once the transaction has ended.
    let during = rescue(pool).await;
    probe::note_effect(&mut tx, id).await;
    attempt.complete(tx, serde_json::Value::Null).await.unwrap();
    let after = rescue(pool).await;

    assert_eq!((during, after), (0, 1));
    assert_eq!(probe::effects(pool).await, [id.0]);
    assert_eq!(
        client.get(id).await.unwrap().unwrap().state,
        JobState::Completed
    );
}

/// The start is given up, what the worker has is read, and only then the start takes effect.
#[tokio::test]
async fn a_start_that_takes_effect_late_is_not_forgotten() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let client = client(pool);
    let worker = probe::worker(pool).await;
    let want = claim::Want { urgent: 0, any: 1 };
    let claimed = claim::claim(pool, worker, want, &[], 0)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let due = probe::due_in(pool, &claimed).await;
    lease::holdings(&mut pool.acquire().await.unwrap(), worker, &[])
        .await
        .unwrap();
    start::start(pool, worker, &due).await.unwrap();
    let releasable = release::Releasable {
        lane: claimed.lane,
        epoch: claimed.epoch,
        limiter_ahead: Duration::ZERO,
        is_doubtful: true,
    };

    release::release(
        &mut pool.acquire().await.unwrap(),
        worker,
        &[releasable],
        &Settings::default().served(),
    )
    .await
    .unwrap();
    let kept = lease::holdings(&mut pool.acquire().await.unwrap(), worker, &[])
        .await
        .unwrap();

    assert_eq!(kept.len(), 1, "let go, nobody would look at it again");
    let job = client.get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Available, 0));
}

#[tokio::test]
async fn a_crash_during_the_last_attempt_leaves_a_dead_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let client = client(pool);

    for _ in 0..3 {
        let worker = probe::worker(pool).await;
        assert_eq!(probe::claim_and_start(&client, worker).await.len(), 1);
        probe::expire(pool, worker).await;
        rescue(pool).await;
        testing::advance(pool, Duration::from_hours(1))
            .await
            .unwrap();
    }

    let job = client.get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Dead, 3));
    assert_eq!(job.error_class.as_deref(), Some("crashed"));
    let worker = probe::worker(pool).await;
    assert!(probe::claim_and_start(&client, worker).await.is_empty());
}

#[tokio::test]
async fn a_lane_claimed_by_a_worker_already_dead_is_freed_too() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let worker = probe::worker(pool).await;
    let want = claim::Want { urgent: 0, any: 1 };
    claim::claim(pool, worker, want, &[], 0).await.unwrap();
    lease::sign_off(pool, worker).await.unwrap();

    let claimed_when_dead = claim::claim(pool, worker, want, &[], 0).await.unwrap();
    let rescued = rescue(pool).await;

    assert!(claimed_when_dead.is_empty());
    assert_eq!(rescued, 1);
    let seen = look::look(pool, worker).await.unwrap();
    assert_eq!(seen.next_due, Some(Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_declared_dead_registers_anew_and_works_on() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let settings = Settings {
        renew_interval: Duration::from_millis(50),
        ..quick_settings()
    };
    let worker = Running::start(&client, &seen, settings).await;
    let first = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    ended(&client, first).await;

    sqlx::query!("UPDATE syncline.workers SET state = 'dead', ended_at = now()")
        .execute(pool)
        .await
        .unwrap();
    let second = probe::add(pool, &Probe::in_lane("b", Act::Done)).await;
    client.wake();
    let job = ended(&client, second).await;
    worker.drain().await;

    assert_eq!(job.state, JobState::Completed);
}
