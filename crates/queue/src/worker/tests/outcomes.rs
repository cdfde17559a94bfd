//! How attempts end.

use super::*;

/// Runs one job once and says how it stands.
async fn once(act: Act) -> (TestDatabase, crate::JobView) {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", act)).await;
    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();
    let job = client(pool).get(id).await.unwrap().unwrap();
    (database, job)
}

#[tokio::test]
async fn done_is_completed() {
    let (_database, job) = once(Act::Done).await;

    assert_eq!(
        (job.state, job.attempt, job.last_error),
        (JobState::Completed, 1, None)
    );
    assert!(job.finished_at >= job.started_at);
}

#[tokio::test]
async fn a_failure_waits_its_stored_delay_and_is_recorded() {
    let (database, job) = once(Act::Fail).await;
    let again = testing::run_due(database.pool(), &probe::registry(), &Seen::new())
        .await
        .unwrap();

    assert_eq!((job.state, job.attempt), (JobState::Retryable, 1));
    assert_eq!(job.last_error.as_deref(), Some("as told"));
    assert_eq!(again.attempts, 0, "it waits");
    let [attempt] = &job.attempts[..] else {
        panic!("{:?}", job.attempts)
    };
    assert_eq!(
        (attempt.error_class.as_str(), attempt.http_status),
        ("told", Some(500))
    );
}

#[tokio::test]
async fn the_last_failure_leaves_a_dead_job_with_every_attempt() {
    let (database, job) = once(Act::Fail).await;
    for _ in 0..5 {
        testing::advance(database.pool(), Duration::from_hours(1))
            .await
            .unwrap();
        testing::run_due(database.pool(), &probe::registry(), &Seen::new())
            .await
            .unwrap();
    }
    let job = client(database.pool()).get(job.id).await.unwrap().unwrap();

    assert_eq!((job.state, job.attempt), (JobState::Dead, 3));
    let outcomes: Vec<_> = job
        .attempts
        .iter()
        .map(|a| (a.attempt, a.outcome.as_str()))
        .collect();
    assert_eq!(outcomes, [(1, "retried"), (2, "retried"), (3, "dead")]);
}

#[tokio::test]
async fn a_snooze_burns_no_attempt() {
    let (_database, job) = once(Act::SnoozeMs(60_000)).await;

    assert_eq!((job.state, job.attempt), (JobState::Scheduled, 0));
    assert_eq!(job.last_error.as_deref(), Some("not yet"));
    assert!(job.attempts.is_empty());
    assert!(job.run_at > job.created_at + Duration::from_secs(50));
}

#[tokio::test]
async fn a_parked_lane_rests_until_its_time() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let parking = probe::add(pool, &Probe::in_lane("a", Act::ParkMs(60_000))).await;
    let registry = probe::registry();
    testing::run_due(pool, &registry, &Seen::new())
        .await
        .unwrap();
    let other = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let during = testing::run_due(pool, &registry, &Seen::new())
        .await
        .unwrap();
    testing::advance(pool, Duration::from_secs(61))
        .await
        .unwrap();

    let client = client(pool);
    assert_eq!(during.attempts, 0);
    assert_eq!(client.get(parking).await.unwrap().unwrap().attempt, 0);
    let worker = probe::worker(pool).await;
    let started = probe::claim_and_start(&client, worker).await;
    assert!(started.iter().any(|(ready, _)| ready.job.id == other));
}

#[tokio::test]
async fn cancelled_is_an_end() {
    let (_database, job) = once(Act::Cancel).await;

    assert_eq!(
        (job.state, job.error_class.as_deref()),
        (JobState::Cancelled, Some("told"))
    );
}

#[tokio::test]
async fn a_panic_is_a_failure_like_others() {
    let (_database, job) = once(Act::Panic).await;

    assert_eq!(job.state, JobState::Retryable);
    assert_eq!(job.attempts[0].error_class, "panic");
    assert_eq!(job.last_error.as_deref(), Some("panicked: as told"));
}

/// Never ends by itself.
#[derive(serde::Serialize, serde::Deserialize)]
struct Hang {}

impl crate::Job for Hang {
    type Context = Seen;
    type Error = Failure;
    const KIND: &'static str = "hang";
    const QUEUE: Queue = Queue::SYNC;
    const TIMEOUT: Duration = Duration::from_millis(20);

    fn lane(&self) -> crate::Lane {
        crate::Lane::system()
    }

    async fn run(&self, _: &Seen, _: &mut crate::Attempt) -> Result<(), Failure> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_job_that_hangs_is_stopped_at_its_time_limit() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let registry = Arc::new(crate::Registry::new().register::<Hang>());
    let hang = NewJob::new(&Hang {}).unwrap().max_attempts(1);
    let id = enqueue(&mut *pool.acquire().await.unwrap(), &hang)
        .await
        .unwrap()
        .id;

    testing::run_due(pool, &registry, &Seen::new())
        .await
        .unwrap();

    let job = client(pool).get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
    assert_eq!(job.error_class.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn a_payload_nobody_can_decode_is_a_failure_like_others() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let neighbour = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    sqlx::query!(
        "UPDATE syncline.jobs SET payload = '[7]' WHERE id = $1",
        id.0
    )
    .execute(pool)
    .await
    .unwrap();

    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();

    let client = client(pool);
    let job = client.get(id).await.unwrap().unwrap();
    assert_eq!(job.attempts[0].error_class, "undecodable");
    assert_eq!(
        client.get(neighbour).await.unwrap().unwrap().state,
        JobState::Completed
    );
}

#[tokio::test]
async fn an_unknown_kind_is_kept_for_a_worker_that_knows_it() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let nothing = Arc::new(crate::Registry::new());

    testing::run_due(pool, &nothing, &Seen::new())
        .await
        .unwrap();
    let before = client(pool).get(id).await.unwrap().unwrap();
    testing::advance(pool, Duration::from_secs(31))
        .await
        .unwrap();
    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();

    assert_eq!(before.attempt, 0);
    assert_eq!(
        before.last_error.as_deref(),
        Some("no worker of this version knows the kind `probe`")
    );
    assert_eq!(
        client(pool).get(id).await.unwrap().unwrap().state,
        JobState::Completed
    );
}

#[tokio::test]
async fn effects_and_completion_are_one() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    probe::make_effects(pool).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Effect)).await;

    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap();

    let job = client(pool).get(id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Completed);
    assert_eq!(job.result, Some(serde_json::json!({"seen": true})));
    assert_eq!(probe::effects(pool).await, [id.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_whose_row_was_written_meanwhile_is_completed() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, seen) = (client(pool), Seen::new());
    let worker = Running::start(&client, &seen, quick_settings()).await;
    seen.begun.acquire().await.unwrap().forget();
    // The row lies elsewhere now, and nothing else about it has changed.
    sqlx::query!(
        "UPDATE syncline.jobs SET priority = priority + 1 WHERE id = $1",
        id.0
    )
    .execute(pool)
    .await
    .unwrap();
    seen.gate.add_permits(1);

    let job = ended(&client, id).await;
    worker.drain().await;

    assert_eq!((job.state, job.attempt), (JobState::Completed, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_measured_is_in_the_rollups() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let done = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    probe::add(pool, &Probe::in_lane("b", Act::Fail)).await;
    probe::add(pool, &Probe::in_lane("c", Act::SnoozeMs(60_000))).await;

    let worker = Running::start(&client, &seen, quick_settings()).await;
    ended(&client, done).await;
    while seen.runs.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    worker.drain().await;
    client.tally().store(pool).await.unwrap();

    let rollup = rollups::read(pool, Window::Hour, true).await.unwrap();
    let count = |measure| {
        let series = rollup.of_kind(measure, "sync", "probe");
        series.map_or(0, |series| series.total.count())
    };
    assert_eq!(count(Measure::Wait), 3, "each start");
    assert_eq!((count(Measure::Completed), count(Measure::Failed)), (1, 1));
}

#[tokio::test]
async fn waits_for_the_rate_limit_are_measured() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let worker = probe::worker(pool).await;
    let (_ready, attempt) = probe::claim_and_start(&client, worker).await.remove(0);
    // The burst is let through at once.
    for _ in 0..100 {
        attempt.throttle().await.unwrap().succeeded();
    }
    assert_eq!(client.tally().waiting(), 0);

    // Faster than it is refilled, sooner or later one has to wait.
    while client.tally().waiting() == 0 {
        attempt.throttle().await.unwrap().succeeded();
    }

    client.tally().store(pool).await.unwrap();
    let rollup = rollups::read(pool, Window::Hour, false).await.unwrap();
    let waits = rollup.of_all(Measure::LimiterWait).unwrap();
    assert_eq!(waits.total.count(), 1);
}
