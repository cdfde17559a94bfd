//! What people do to running workers and their jobs.

use super::*;
use crate::{
    Lane, pause,
    workers::{self, Ask},
};

/// Asks for the end of a running job, as the admin functions do.
async fn request_cancel(client: &Client, id: JobId) {
    sqlx::query!(
        "INSERT INTO syncline.cancellations (job_id, requested_by, reason) VALUES ($1, 'ada', 'wrong')",
        id.0
    )
    .execute(client.pool())
    .await
    .unwrap();
    client.wake();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_on_request() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, seen) = (client(pool), Seen::new());
    let worker = Running::start(&client, &seen, quick_settings()).await;
    seen.begun.acquire().await.unwrap().forget();

    request_cancel(&client, id).await;
    let job = ended(&client, id).await;
    // Its lane goes on.
    let next = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    client.wake();
    assert_eq!(ended(&client, next).await.state, JobState::Completed);
    worker.drain().await;

    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(job.error_class.as_deref(), Some("cancelled"));
    assert_eq!(job.last_error.as_deref(), Some("cancelled by ada: wrong"));
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.cancellations"#)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "the request is met");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_cancel_outlives_the_worker_it_was_for() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, seen) = (client(pool), Seen::new());
    let dead = probe::worker(pool).await;
    probe::claim_and_start(&client, dead).await;
    request_cancel(&client, id).await;
    probe::expire(pool, dead).await;
    lease::rescue(&mut pool.acquire().await.unwrap(), Duration::from_secs(1))
        .await
        .unwrap();
    testing::advance(pool, Duration::from_mins(1))
        .await
        .unwrap();

    let worker = Running::start(&client, &seen, quick_settings()).await;
    let job = ended(&client, id).await;
    worker.drain().await;

    assert_eq!(job.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_by_a_running_worker_and_so_is_its_end() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let worker = Running::start(&client, &seen, quick_settings()).await;
    for scope in [
        pause::Scope::Everything,
        pause::Scope::Queue(Queue::SYNC),
        pause::Scope::Kind("probe".to_owned()),
        pause::Scope::Lane(Lane::organization("a")),
    ] {
        // Running when the pause comes: goes on, and holds the lane.
        let running = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
        client.wake();
        seen.begun.acquire().await.unwrap().forget();
        pause::pause(&client, &scope, "ada", "a look", None)
            .await
            .unwrap();
        let waiting = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
        client.wake();
        // The lane is let go once what runs has ended, and nothing else is started in it.
        seen.gate.add_permits(1);
        ended(&client, running).await;
        let lane_is_free = async {
            loop {
                let owner = sqlx::query_scalar!("SELECT owner FROM syncline.lanes")
                    .fetch_one(pool)
                    .await
                    .unwrap();
                if owner.is_none() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), lane_is_free)
            .await
            .expect("the lane is let go");
        let job = client.get(waiting).await.unwrap().unwrap();
        assert_eq!(job.state, JobState::Available, "{scope:?}");

        pause::resume(&client, &scope, "ada").await.unwrap();

        assert_eq!(ended(&client, waiting).await.state, JobState::Completed);
        seen.begun.acquire().await.unwrap().forget();
    }
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_worker_starts_nothing_until_it_may() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let quiet = Running::start(&client, &seen, quick_settings()).await;
    let id = workers::list(pool, 10).await.unwrap()[0].id;
    let first = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    client.wake();
    seen.begun.acquire().await.unwrap().forget();
    assert!(workers::ask(&client, id, Ask::Quiet).await.unwrap());
    let second = probe::add(pool, &Probe::in_lane("b", Act::Done)).await;

    // Another serves meanwhile what the quiet one leaves.
    let other = Running::start(&client, &seen, quick_settings()).await;
    client.wake();
    let job = ended(&client, second).await;
    other.drain().await;
    seen.gate.add_permits(1);
    ended(&client, first).await;
    let third = probe::add(pool, &Probe::in_lane("c", Act::Done)).await;
    workers::ask(&client, id, Ask::Work).await.unwrap();
    ended(&client, third).await;
    let view = workers::list(pool, 10).await.unwrap();
    quiet.drain().await;

    assert_eq!(job.state, JobState::Completed);
    assert_eq!(view.len(), 2);
    assert_eq!((&*view[0].state, view[0].id), ("running", id));
    assert_eq!(&*view[1].state, "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_drains_when_asked_from_outside() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let worker = Running::start(&client, &seen, quick_settings()).await;
    let id = workers::list(pool, 10).await.unwrap()[0].id;

    assert!(workers::ask(&client, id, Ask::Drain).await.unwrap());
    // Ends without a word from inside.
    worker.apalis.await.unwrap();
    worker.worker.tasks.await.unwrap();

    assert_eq!(workers::list(pool, 10).await.unwrap()[0].state, "stopped");
    assert!(!workers::ask(&client, id, Ask::Quiet).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_whose_jobs_keep_ending_their_worker_is_quarantined() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let crash = async || {
        let worker = probe::worker(pool).await;
        let started = probe::claim_and_start(&client, worker).await.len();
        probe::expire(pool, worker).await;
        lease::rescue(&mut pool.acquire().await.unwrap(), Duration::from_secs(1))
            .await
            .unwrap();
        testing::advance(pool, Duration::from_hours(1))
            .await
            .unwrap();
        started
    };
    let job = crate::NewJob::new(&Probe::in_lane("bad", Act::Done)).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let id = enqueue(&mut *connection, &job.max_attempts(50))
        .await
        .unwrap()
        .id;
    drop(connection);

    for _ in 0..5 {
        assert_eq!(crash().await, 1);
    }

    assert_eq!(crash().await, 0, "nothing of the lane is started");
    let pauses = pause::list(pool).await.unwrap();
    assert_eq!(pauses.len(), 1);
    assert_eq!(
        pauses[0].scope,
        pause::Scope::Lane(Lane::organization("bad"))
    );
    assert_eq!(pauses[0].paused_by, "syncline");
    assert!(
        pauses[0].reason.starts_with("quarantined: 5 workers"),
        "{pauses:?}"
    );
    assert_eq!(client.get(id).await.unwrap().unwrap().attempt, 5);
    // Resumed, it starts with a clean slate.
    pause::resume(&client, &pauses[0].scope, "ada")
        .await
        .unwrap();
    assert_eq!(crash().await, 1);
    assert_eq!(pause::list(pool).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_job_clears_its_lane_of_suspicion() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let dead = probe::worker(pool).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    probe::claim_and_start(&client, dead).await;
    probe::expire(pool, dead).await;
    lease::rescue(&mut pool.acquire().await.unwrap(), Duration::from_secs(1))
        .await
        .unwrap();
    testing::advance(pool, Duration::from_hours(1))
        .await
        .unwrap();
    let crashes = async || {
        sqlx::query_scalar!("SELECT crashes FROM syncline.lanes")
            .fetch_one(pool)
            .await
            .unwrap()
    };
    assert_eq!(crashes().await, 1);

    let worker = Running::start(&client, &seen, quick_settings()).await;
    ended(&client, id).await;
    worker.drain().await;

    assert_eq!(crashes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_kept_while_running_is_free_when_the_job_has_ended() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let add = async || {
        let mut connection = pool.acquire().await.unwrap();
        let job = NewJob::new(&probe::Single {}).unwrap();
        enqueue(&mut *connection, &job).await.unwrap()
    };
    let first = add().await;
    let worker = probe::worker(pool).await;
    let (ready, _) = probe::claim_and_start(&client, worker).await.pop().unwrap();

    let while_running = add().await;
    settle::write_one(pool, &probe::registry(), ready.job, Ok(Completion::Done))
        .await
        .unwrap();
    let afterwards = add().await;

    assert_eq!((while_running.id, while_running.is_new), (first.id, false));
    assert!(afterwards.is_new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_knows_who_enqueued_it_and_in_which_trace() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let mut connection = pool.acquire().await.unwrap();
    let job = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let parent = enqueue(&mut *connection, &job.trace_context(TRACE))
        .await
        .unwrap();
    drop(connection);
    let worker = probe::worker(pool).await;
    let (_, attempt) = probe::claim_and_start(&client, worker).await.pop().unwrap();

    let mut tx = attempt.begin().await.unwrap();
    let child = NewJob::new(&Probe::in_lane("b", Act::Done)).unwrap();
    let odd = NewJob::new(&Probe::in_lane("c", Act::Done))
        .unwrap()
        .trace_context("not a traceparent");
    let children = enqueue_many(&mut tx, &[child, odd]).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(attempt.trace_context(), Some(TRACE));
    for child in children {
        let row = sqlx::query!(
            "SELECT parent_id, trace_context FROM syncline.jobs WHERE id = $1",
            child.id.0
        )
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!(row.parent_id, Some(parent.id.0));
        assert_eq!(row.trace_context.as_deref(), Some(TRACE));
    }
}

/// A worker leaves alone what it does not serve, and does not keep others from it.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_queue_that_one_worker_does_not_serve_reach_one_that_does() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (client, seen) = (client(pool), Seen::new());
    let interactive_only = Settings {
        slots: BTreeMap::from([(Queue::INTERACTIVE, 2), (Queue::WEBHOOKS, 2)]),
        ..quick_settings()
    };
    let first = Running::start(&client, &seen, interactive_only).await;
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    client.wake();

    let second = Running::start(&client, &seen, quick_settings()).await;
    let job = ended(&client, id).await;
    first.drain().await;
    second.drain().await;

    assert_eq!(job.state, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_tells_how_much_of_its_pool_is_in_use() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let settings = Settings {
        renew_interval: Duration::from_millis(50),
        ..quick_settings()
    };
    let client = client(pool);
    let worker = Running::start(&client, &Seen::new(), settings).await;
    let told = async || {
        let workers = workers::list(pool, 1).await.unwrap();
        (workers[0].connections_in_use, workers[0].connections)
    };
    let most = i32::try_from(pool.options().get_max_connections()).unwrap();

    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    tokio::time::timeout(Duration::from_secs(20), async {
        while !matches!(told().await, (2.., all) if all == most) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    drop(held);
    tokio::time::timeout(Duration::from_secs(20), async {
        while told().await.0 >= 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    worker.drain().await;
}
