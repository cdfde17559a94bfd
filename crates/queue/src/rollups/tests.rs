//! What was measured is found again, in each window, by kind, queue and altogether; and no window grows for ever.

use std::time::Duration;

use test_support::TestDatabase;

use super::*;

const QUEUE: Queue = Queue::SYNC;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn count(series: Option<&Series>) -> u64 {
    series.map_or(0, |series| series.total.count())
}

/// Moves everything back in time, as if it had been measured then.
async fn age(pool: &PgPool, by: TimeDelta) {
    sqlx::query!(
        "UPDATE syncline.rollups SET began_at = began_at - make_interval(secs => $1)",
        by.as_seconds_f64()
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn what_two_processes_measured_adds_up_in_each_window() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (here, there) = (Tally::default(), Tally::default());
    for tally in [&here, &there] {
        tally.note_job(Measure::Wait, QUEUE, "fetch", ms(10));
        tally.note_job(Measure::Wait, QUEUE, "poll", ms(900));
        tally.note(Measure::Acknowledgement, ms(2));
        tally.store(pool).await.unwrap();
    }
    here.note_job(Measure::Wait, QUEUE, "fetch", ms(10));
    here.store(pool).await.unwrap();

    for window in Window::ALL {
        let rollup = read(pool, window, true).await.unwrap();

        let of_kind = |kind| rollup.of_kind(Measure::Wait, "sync", kind);
        assert_eq!((count(of_kind("fetch")), count(of_kind("poll"))), (3, 2));
        assert_eq!(count(rollup.of_queue(Measure::Wait, "sync")), 5);
        assert_eq!(count(rollup.of_all(Measure::Wait)), 5);
        assert_eq!(count(rollup.of_all(Measure::Acknowledgement)), 2);
        assert_eq!(count(rollup.of_all(Measure::Failed)), 0);
        assert_eq!(rollup.kinds(), [("sync", "fetch"), ("sync", "poll")]);
        let series = rollup.of_queue(Measure::Wait, "sync").unwrap();
        assert_eq!(series.spans.len(), window.spans());
        // The window that is under way may have ended since.
        assert_eq!(series.spans.iter().rev().take(2).sum::<u64>(), 5);
        let slow = series.total.quantile(0.95).unwrap();
        assert!(ms(700) < slow && slow < ms(1_200), "{slow:?}");
    }
    let without_kinds = read(pool, Window::Hour, false).await.unwrap();
    assert_eq!(without_kinds.kinds(), []);
    assert_eq!(count(without_kinds.of_queue(Measure::Wait, "sync")), 5);
}

#[tokio::test]
async fn each_window_looks_back_so_far_and_no_farther() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let tally = Tally::default();
    tally.note_job(Measure::Completed, QUEUE, "fetch", ms(10));
    tally.store(pool).await.unwrap();

    let mut seen = Vec::new();
    for minutes_ago in [0, 50, 70, 23 * 60, 25 * 60, 6 * 24 * 60, 8 * 24 * 60] {
        let before = TimeDelta::minutes(minutes_ago);
        age(pool, before).await;
        let mut windows = Vec::new();
        for window in Window::ALL {
            let rollup = read(pool, window, false).await.unwrap();
            windows.push(count(rollup.of_all(Measure::Completed)));
        }
        age(pool, -before).await;
        seen.push(windows);
    }

    let expected = [
        [1, 1, 1],
        [1, 1, 1],
        [0, 1, 1],
        [0, 1, 1],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 0],
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_cannot_be_stored_is_kept_for_the_next_time() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let tally = Tally::default();
    tally.note_job(Measure::Failed, QUEUE, "fetch", ms(10));
    let closed = pool.clone();
    let other = TestDatabase::new().await;
    other.pool().close().await;

    tally.store(other.pool()).await.unwrap_err();
    tally.note_job(Measure::Failed, QUEUE, "fetch", ms(20));

    assert_eq!(tally.waiting(), 2);
    tally.store(&closed).await.unwrap();
    assert_eq!(tally.waiting(), 0);
    let rollup = read(pool, Window::Hour, false).await.unwrap();
    assert_eq!(count(rollup.of_all(Measure::Failed)), 2);
}

#[tokio::test]
async fn spans_that_nobody_asks_for_are_deleted() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let tally = Tally::default();
    tally.note_job(Measure::Failed, QUEUE, "fetch", ms(10));
    tally.store(pool).await.unwrap();
    // Of the kind, the queue and everything, in each of the three lengths.
    let mut left = Vec::new();
    for hours in [0, 3, 40, 24 * 9] {
        age(pool, TimeDelta::hours(hours)).await;
        forget(pool).await.unwrap();
        let rows = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM syncline.rollups"#);
        left.push(rows.fetch_one(pool).await.unwrap());
    }

    assert_eq!(left, [9, 6, 3, 0]);
}
