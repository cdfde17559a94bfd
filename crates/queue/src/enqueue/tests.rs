use test_support::TestDatabase;

use super::*;
use crate::testing::probe::{self, Act, Probe};

fn keyed(key: &str) -> NewJob {
    let probe = Probe {
        unique: Some(key.to_owned()),
        ..Probe::in_lane("a", Act::Done)
    };
    NewJob::new(&probe).unwrap()
}

#[tokio::test]
async fn a_rolled_back_enqueue_leaves_no_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();

    let mut tx = pool.begin().await.unwrap();
    let id = enqueue(&mut tx, &keyed("k")).await.unwrap().id;
    tx.rollback().await.unwrap();
    let again = enqueue(&mut *pool.acquire().await.unwrap(), &keyed("k"))
        .await
        .unwrap();

    assert!(
        crate::Client::new(pool.clone())
            .get(id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(again.is_new, "the key was not burnt");
}

#[tokio::test]
async fn a_pending_key_answers_the_job_that_holds_it() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool().acquire().await.unwrap();

    let first = enqueue(&mut *connection, &keyed("k")).await.unwrap();
    let batch = [keyed("k"), keyed("other"), keyed("other")];
    let answers = enqueue_many(&mut *connection, &batch).await.unwrap();

    assert_eq!(
        answers[0],
        Enqueued {
            id: first.id,
            is_new: false
        }
    );
    assert!(answers[1].is_new);
    assert_eq!(
        answers[2],
        Enqueued {
            id: answers[1].id,
            is_new: false
        }
    );
    let pending = crate::testing::pending(database.pool(), "probe")
        .await
        .unwrap();
    assert_eq!(pending.len(), 2);
}

#[tokio::test]
async fn fifty_at_once_with_one_key_make_one_job() {
    let database = TestDatabase::new().await;
    let pool = database.pool();

    let all = (0..50).map(|_| async {
        let mut tx = pool.begin().await.unwrap();
        let enqueued = enqueue(&mut tx, &keyed("k")).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    });
    let answers = futures::future::join_all(all).await;

    assert_eq!(answers.iter().filter(|answer| answer.is_new).count(), 1);
    assert!(answers.iter().all(|answer| answer.id == answers[0].id));
}

#[tokio::test]
async fn run_at_is_kept_to_the_microsecond() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let at = DateTime::from_timestamp_micros(4_000_000_000_123_457).unwrap();
    let job = NewJob::new(&Probe::in_lane("a", Act::Done))
        .unwrap()
        .run_at(at);

    let id = enqueue(&mut *pool.acquire().await.unwrap(), &job)
        .await
        .unwrap()
        .id;

    let view = crate::Client::new(pool.clone())
        .get(id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.run_at, view.state), (at, crate::JobState::Scheduled));
}

#[tokio::test]
async fn five_thousand_jobs_take_one_statement() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let jobs: Vec<_> = (0..5_000)
        .map(|n| NewJob::new(&Probe::in_lane(&format!("l{}", n % 100), Act::Done)).unwrap())
        .collect();

    let answers = enqueue_many(&mut *pool.acquire().await.unwrap(), &jobs)
        .await
        .unwrap();

    assert!(answers.iter().all(|answer| answer.is_new));
    assert_eq!(
        probe::claim_and_start(&crate::Client::new(pool.clone()), probe::worker(pool).await)
            .await
            .len(),
        5_000
    );
}

#[test]
fn a_payload_too_large_is_refused_before_the_database_is_asked() {
    let probe = Probe {
        unique: None,
        ..Probe::in_lane(&"x".repeat(200), Act::Done)
    };
    let small = NewJob::new(&probe);
    let large = NewJob::new(&Large("x".repeat(MAX_PAYLOAD_BYTES)));

    assert!(small.is_ok());
    assert!(matches!(large, Err(Error::PayloadTooLarge { .. })));
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Large(String);

impl Job for Large {
    type Context = ();
    type Error = crate::Failure;
    const KIND: &'static str = "large";
    const QUEUE: Queue = Queue::SYNC;

    fn lane(&self) -> Lane {
        Lane::system()
    }

    async fn run(&self, (): &(), _: &mut crate::Attempt) -> Result<(), crate::Failure> {
        Ok(())
    }
}
