//! What attempts leave for people.

use super::*;
use crate::{JobDetail, notes::Notes, view::Span};

/// Enqueues one job, runs it so often, and tells all of it.
async fn after(act: Act, runs: usize) -> (TestDatabase, JobDetail) {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let id = probe::add(pool, &Probe::in_lane("a", act)).await;
    for _ in 0..runs {
        testing::run_due(pool, &probe::registry(), &Seen::new())
            .await
            .unwrap();
        testing::advance(pool, Duration::from_hours(1))
            .await
            .unwrap();
    }
    let detail = client(pool).detail(id).await.unwrap().unwrap();
    (database, detail)
}

fn notes(span: &Span) -> &Notes {
    span.notes.as_ref().unwrap()
}

#[tokio::test]
async fn every_failed_attempt_tells_its_requests_and_lines() {
    let (_database, detail) = after(Act::Tell(2), 3).await;

    let outcomes: Vec<_> = detail.timeline.iter().map(|span| &*span.outcome).collect();
    assert_eq!(outcomes, ["retried", "retried", "dead"]);
    for span in &detail.timeline {
        let requests: Vec<_> = notes(span)
            .requests
            .iter()
            .map(|request| {
                let id = request.request_id.as_deref();
                (&*request.method, &*request.path, request.status, id)
            })
            .collect();
        let expected = [
            ("GET", "path/0", Some(500), Some("request 0")),
            ("GET", "path/1", Some(500), Some("request 1")),
        ];
        assert_eq!(requests, expected);
        assert_eq!(notes(span).requests[0].took_ms, 7);
        let lines: Vec<_> = notes(span)
            .lines
            .iter()
            .map(|line| (&*line.level, &*line.text))
            .collect();
        assert_eq!(lines, [("WARN", "line 0"), ("WARN", "line 1")]);
    }
}

#[tokio::test]
async fn one_that_is_done_tells_them_too_and_only_the_last() {
    let (_database, detail) = after(Act::TellDone(23), 1).await;

    let [span] = &detail.timeline[..] else {
        panic!("{:?}", detail.timeline)
    };
    assert_eq!(span.outcome, "completed");
    let notes = notes(span);
    assert_eq!((notes.requests.len(), notes.lines.len()), (20, 20));
    assert_eq!((notes.earlier_requests, notes.earlier_lines), (3, 3));
    assert_eq!(notes.requests[0].path, "path/3");
    assert_eq!(notes.lines[19].text, "line 22");
}

#[tokio::test]
async fn what_told_nothing_leaves_nothing() {
    let (database, detail) = after(Act::Fail, 3).await;

    assert!(detail.timeline.iter().all(|span| span.notes.is_none()));
    let rows = sqlx::query_scalar!(r#"SELECT count(*) AS "rows!" FROM syncline.attempt_notes"#)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn they_stay_with_a_dead_job_that_is_retried_and_go_with_their_day() {
    let (database, detail) = after(Act::Tell(1), 3).await;
    let (pool, id) = (database.pool(), detail.job.id);

    let mut tx = pool.begin().await.unwrap();
    crate::admin::retry(&mut tx, &probe::registry(), id)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let retried = client(pool).detail(id).await.unwrap().unwrap();
    assert_eq!(retried.timeline, detail.timeline);
    assert!(retried.timeline.iter().all(|span| span.notes.is_some()));

    sqlx::query!("SELECT syncline.drop_partitions((now() AT TIME ZONE 'UTC')::date + 1)")
        .fetch_one(pool)
        .await
        .unwrap();

    let later = client(pool).detail(id).await.unwrap().unwrap();
    assert!(later.timeline.iter().all(|span| span.notes.is_none()));
}
