//! Actions on one job.

use super::*;

#[tokio::test]
async fn a_dead_job_lives_again_with_its_id_fresh_attempts_and_its_history() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = dead(pool, &Probe::in_lane("a", Act::Fail)).await;

    let mut tx = pool.begin().await.unwrap();
    let revived = retry(&mut tx, &probe::registry(), id).await.unwrap();
    tx.commit().await.unwrap();
    let before = client(pool).get(id).await.unwrap().unwrap();
    let attempts = run_due(pool).await;

    assert_eq!(revived, id);
    assert_eq!(
        (before.state, before.attempt, before.max_attempts),
        (JobState::Available, 0, 1)
    );
    assert_eq!(attempts, 1, "its lane is due");
    let after = client(pool).get(id).await.unwrap().unwrap();
    let outcomes: Vec<_> = after
        .attempts
        .iter()
        .map(|a| (a.attempt, a.outcome.as_str()))
        .collect();
    assert_eq!(outcomes, [(1, "dead"), (1, "dead")]);
    assert_eq!(after.attempts[0].http_status, Some(500));
}

#[tokio::test]
async fn a_job_retried_while_its_lane_is_let_go_is_not_forgotten() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, worker) = (client(pool), probe::worker(pool).await);
    let started = probe::claim_and_start(&client, worker).await;
    for (ready, _) in started {
        let done = Ok(crate::worker::Completion::Done);
        crate::worker::settle::write_one(pool, &probe::registry(), ready.job, done)
            .await
            .unwrap();
    }

    let mut tx = pool.begin().await.unwrap();
    retry(&mut tx, &probe::registry(), id).await.unwrap();
    let released_meanwhile = let_go(pool, worker).await;
    tx.commit().await.unwrap();
    let released_afterwards = let_go(pool, worker).await;

    assert_eq!(released_meanwhile, [], "the lane is locked by who retries");
    assert_eq!(released_afterwards.len(), 1);
    assert_eq!(run_due(pool).await, 1);
}

#[tokio::test]
async fn a_job_moved_while_its_lane_is_let_go_is_not_forgotten() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let later = NewJob::new(&Probe::in_lane("a", Act::Done))
        .unwrap()
        .run_after(Duration::from_hours(1));
    let id = enqueue(&mut *pool.acquire().await.unwrap(), &later)
        .await
        .unwrap()
        .id;
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let (client, worker) = (client(pool), probe::worker(pool).await);
    let (ready, _) = probe::claim_and_start(&client, worker).await.pop().unwrap();
    let done = Ok(crate::worker::Completion::Done);
    crate::worker::settle::write_one(pool, &probe::registry(), ready.job, done)
        .await
        .unwrap();

    let mut tx = pool.begin().await.unwrap();
    retry_now(&mut tx, id).await.unwrap();
    let released_meanwhile = let_go(pool, worker).await;
    tx.commit().await.unwrap();
    let_go(pool, worker).await;

    assert_eq!(released_meanwhile, []);
    assert_eq!(run_due(pool).await, 1);
}

#[tokio::test]
async fn a_job_that_ended_well_is_enqueued_again_as_a_child() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        limit: Some("l".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let id = probe::add(pool, &job).await;
    run_due(pool).await;

    let mut tx = pool.begin().await.unwrap();
    let again = retry(&mut tx, &probe::registry(), id).await.unwrap();
    let twin = retry(&mut tx, &probe::registry(), id).await.unwrap_err();
    tx.commit().await.unwrap();

    assert_ne!(again, id);
    assert!(refusal(&twin).contains("same unique key"), "{twin}");
    let detail = client(pool).detail(again).await.unwrap().unwrap();
    assert_eq!(detail.job.parent_id, Some(id));
    assert_eq!(
        (detail.unique_key.as_deref(), detail.limit_key.as_deref()),
        (Some("k"), Some("l"))
    );
    assert_eq!(run_due(pool).await, 1);
    assert_eq!(state(pool, id).await, Some(JobState::Completed));
}

#[tokio::test]
async fn what_nobody_knows_is_not_enqueued_again() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    run_due(pool).await;
    let mut tx = pool.begin().await.unwrap();

    let empty = crate::Registry::<Seen>::new();
    let unknown = retry(&mut tx, &empty, id).await.unwrap_err();
    let missing = retry(&mut tx, &empty, JobId::generate()).await.unwrap_err();

    assert!(refusal(&unknown).contains("no job of the kind `probe` is known here"));
    assert!(matches!(missing, Error::NoSuchJob { .. }));
}

#[tokio::test]
async fn a_dead_job_stays_dead_while_a_twin_waits() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        ..Probe::in_lane("a", Act::Fail)
    };
    let id = dead(pool, &job).await;
    let twin = probe::add(pool, &job).await;
    let mut connection = pool.acquire().await.unwrap();

    let refused = retry(&mut connection, &probe::registry(), id)
        .await
        .unwrap_err();
    delete(&mut connection, twin).await.unwrap();
    let accepted = retry(&mut connection, &probe::registry(), id)
        .await
        .unwrap();

    assert!(refusal(&refused).contains("same unique key"));
    assert_eq!(accepted, id);
}

#[tokio::test]
async fn a_cancelled_job_is_in_history_and_its_key_is_free() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let id = probe::add(pool, &job).await;

    let cancelled = cancel(&mut pool.acquire().await.unwrap(), id, &ops())
        .await
        .unwrap();

    assert_eq!(cancelled, Cancelled::Ended);
    let view = client(pool).get(id).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempt), (JobState::Cancelled, 0));
    let reason = "cancelled by ops@example.com: not needed";
    assert_eq!(view.last_error.as_deref(), Some(reason));
    assert_eq!(run_due(pool).await, 0);
    assert_ne!(probe::add(pool, &job).await, id, "the key is free");
}

#[tokio::test]
async fn a_job_that_is_being_cancelled_does_not_start() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let job = Probe {
        unique: Some("k".to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    let id = probe::add(pool, &job).await;
    let (client, worker) = (client(pool), probe::worker(pool).await);

    let mut tx = pool.begin().await.unwrap();
    cancel(&mut tx, id, &ops()).await.unwrap();
    let started = probe::claim_and_start(&client, worker).await;
    tx.commit().await.unwrap();

    assert!(started.is_empty());
    assert_eq!(state(pool, id).await, Some(JobState::Cancelled));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop_and_cancelled_should_it_come_back() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let (client, worker) = (client(pool), probe::worker(pool).await);
    let (ready, _) = probe::claim_and_start(&client, worker).await.pop().unwrap();
    let mut connection = pool.acquire().await.unwrap();

    let asked = cancel(&mut connection, id, &ops()).await.unwrap();
    let twice = cancel(&mut connection, id, &ops()).await.unwrap();
    let failure = crate::Failure::Snooze {
        after: Duration::from_hours(1),
        reason: "did not notice".to_owned(),
    };
    crate::worker::settle::write_one(pool, &probe::registry(), ready.job, Err(failure))
        .await
        .unwrap();
    let retention = crate::maintenance::Retention {
        history: Duration::from_hours(48),
        workers: Duration::from_hours(48),
    };
    let report = crate::maintenance::run(pool, retention).await.unwrap();

    assert_eq!((asked, twice), (Cancelled::Requested, Cancelled::Requested));
    assert_eq!(report.cancelled, 1);
    assert_eq!(state(pool, id).await, Some(JobState::Cancelled));
}

#[tokio::test]
async fn an_old_wish_to_cancel_does_not_meet_the_retried_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = dead(pool, &Probe::in_lane("a", Act::Fail)).await;
    sqlx::query!(
        "INSERT INTO syncline.cancellations (job_id, requested_by, reason) VALUES ($1, 'a', 'b')",
        id.0
    )
    .execute(pool)
    .await
    .unwrap();

    retry(&mut pool.acquire().await.unwrap(), &probe::registry(), id)
        .await
        .unwrap();

    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM syncline.cancellations"#);
    assert_eq!(left.fetch_one(pool).await.unwrap(), 0);
}

#[tokio::test]
async fn an_earlier_time_makes_the_lane_due_and_a_later_one_keeps_the_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let first = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let hour = chrono::TimeDelta::hours(1);
    let view = client(pool).get(first).await.unwrap().unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let to = |run_at| Edit {
        run_at: Some(run_at),
        priority: None,
    };

    edit(&mut connection, first, to(view.run_at + hour))
        .await
        .unwrap();
    let while_later = run_due(pool).await;
    edit(&mut connection, first, to(view.run_at - hour))
        .await
        .unwrap();
    let when_earlier = run_due(pool).await;

    assert_eq!((while_later, when_earlier), (0, 1));
}

#[tokio::test]
async fn a_priority_decides_the_order_within_a_lane() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let first = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let second = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let edit_to = Edit {
        run_at: None,
        priority: Some(1),
    };

    edit(&mut pool.acquire().await.unwrap(), second, edit_to)
        .await
        .unwrap();
    run_due(pool).await;

    let started = |view: Option<crate::JobView>| view.unwrap().started_at.unwrap();
    let client = client(pool);
    assert!(started(client.get(second).await.unwrap()) < started(client.get(first).await.unwrap()));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_can() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let registry = probe::registry();
    let completed = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    run_due(pool).await;
    let dead = dead(pool, &Probe::in_lane("b", Act::Fail)).await;
    let running = probe::add(pool, &Probe::in_lane("c", Act::Gate)).await;
    let worker = probe::worker(pool).await;
    let client = client(pool);
    let _attempts = probe::claim_and_start(&client, worker).await;
    let waiting = probe::add(pool, &Probe::in_lane("d", Act::Done)).await;
    let mut tx = pool.begin().await.unwrap();

    for (error, part) in [
        (
            retry(&mut tx, &registry, waiting).await.unwrap_err(),
            "which is available: it will run by itself",
        ),
        (
            retry(&mut tx, &registry, running).await.unwrap_err(),
            "which is running: wait for its end",
        ),
        (
            retry_now(&mut tx, running).await.unwrap_err(),
            "which is running: it runs already",
        ),
        (
            retry_now(&mut tx, dead).await.unwrap_err(),
            "which is dead: it has ended: retry it",
        ),
        (
            cancel(&mut tx, dead, &ops()).await.unwrap_err(),
            "which is dead: it has ended: delete it",
        ),
        (
            cancel(&mut tx, completed, &ops()).await.unwrap_err(),
            "which is completed: it has ended",
        ),
        (
            delete(&mut tx, running).await.unwrap_err(),
            "which is running: cancel it first",
        ),
        (
            delete(&mut tx, completed).await.unwrap_err(),
            "history goes by itself",
        ),
    ] {
        let text = refusal(&error);
        assert!(text.contains(part), "{text}");
    }
    let nobody = Request {
        by: String::new(),
        ..ops()
    };
    let invalid = [
        edit(&mut tx, waiting, Edit::default()).await.unwrap_err(),
        edit(
            &mut tx,
            waiting,
            Edit {
                run_at: Some(chrono::DateTime::<chrono::Utc>::MAX_UTC),
                priority: None,
            },
        )
        .await
        .unwrap_err(),
        cancel(&mut tx, waiting, &nobody).await.unwrap_err(),
    ];
    for error in invalid {
        assert!(
            matches!(
                error,
                Error::InvalidRequest { .. } | Error::InvalidName { .. }
            ),
            "{error:?}"
        );
    }
    assert!(matches!(
        delete(&mut tx, JobId::generate()).await.unwrap_err(),
        Error::NoSuchJob { .. }
    ));
    tx.commit().await.unwrap();
    assert_eq!(
        state(pool, waiting).await,
        Some(JobState::Available),
        "nothing was changed"
    );
}
