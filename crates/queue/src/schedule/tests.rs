use std::sync::Arc;

use test_support::TestDatabase;

use super::*;
use crate::{Attempt, Failure, Lane, Queue, Registry, testing};

#[derive(serde::Serialize, serde::Deserialize)]
struct Tick {}

impl Job for Tick {
    type Context = ();
    type Error = Failure;
    const KIND: &'static str = "tick";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<&'static str> = Some("*/5 * * * *");

    fn lane(&self) -> Lane {
        Lane::system()
    }

    async fn run(&self, (): &(), _: &mut Attempt) -> Result<(), Failure> {
        Ok(())
    }
}

fn schedules() -> Vec<Schedule> {
    Arc::new(Registry::new().register::<Tick>()).schedules()
}

#[tokio::test]
async fn a_tick_fires_once_whatever_the_number_of_schedulers() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let schedules = schedules();
    sync(pool, &schedules).await.unwrap();
    testing::advance(pool, Duration::from_secs(301))
        .await
        .unwrap();

    let all = (0..8).map(|_| fire_due(pool, &schedules));
    let fired: Vec<_> = futures::future::join_all(all)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();

    assert_eq!(fired.iter().map(|fired| fired.jobs).sum::<usize>(), 1);
    assert_eq!(testing::pending(pool, "tick").await.unwrap().len(), 1);
}

#[tokio::test]
async fn ticks_that_were_missed_fire_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let schedules = schedules();
    sync(pool, &schedules).await.unwrap();
    testing::advance(pool, Duration::from_hours(1))
        .await
        .unwrap();

    let first = fire_due(pool, &schedules).await.unwrap();
    let second = fire_due(pool, &schedules).await.unwrap();

    assert_eq!((first.jobs, second.jobs), (1, 0));
    assert!(
        second
            .next
            .is_some_and(|next| next <= Duration::from_mins(5))
    );
}

#[tokio::test]
async fn a_changed_expression_is_adopted_and_a_kept_one_keeps_its_next_run() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let next = || async { fire_due(pool, &schedules()).await.unwrap().next.unwrap() };
    sync(pool, &schedules()).await.unwrap();
    testing::advance(pool, Duration::from_secs(1))
        .await
        .unwrap();
    let before = next().await;

    sync(pool, &schedules()).await.unwrap();
    let kept = next().await;
    let yearly = schedules().pop().unwrap().with_cron("0 0 1 1 *").unwrap();
    sync(pool, &[yearly]).await.unwrap();
    let adopted = next().await;

    assert!(kept <= before);
    assert!(adopted > Duration::from_hours(1));
}

#[test]
fn what_is_no_cron_expression_is_named() {
    let error = Schedule::of::<Tick>("every day").unwrap_err().to_string();

    assert!(
        error.contains("`every day` of `tick` is not a cron expression"),
        "{error}"
    );
}
