//! One sentence for each reason.

use chrono::TimeDelta;
use sqlx::types::Uuid;
use test_support::TestDatabase;

use super::*;
use crate::{
    Client,
    pause::{Scope, pause},
    testing::probe::{self, Act, Probe},
};

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn owner() -> Owner {
    Owner {
        id: WorkerId(Uuid::nil()),
        process: say!("host-1 (process 7)"),
        state: "running".to_owned(),
        wanted: None,
        lease_until: now() + TimeDelta::seconds(9),
        is_serving_queue: true,
    }
}

/// Due, with nothing in its way.
fn due() -> Facts {
    Facts {
        now: now(),
        kind: "fetch".to_owned(),
        queue: "sync".to_owned(),
        lane: "acct:1".to_owned(),
        attempt: 0,
        run_at: now(),
        last_error: None,
        pause: None,
        owner: None,
        due_at: Some(now()),
        blocked_until: None,
        blocked_reason: None,
        is_any_worker: true,
        is_queue_served: true,
        limit_holder: None,
        unique_holder: None,
        running: Some((0, JobId(Uuid::nil()))),
        jobs_before: 0,
        lanes_before: 0,
    }
}

/// What is told when `change` is made to a job that nothing hinders.
fn told(change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = due();
    change(&mut facts);
    let told = explain(&facts).to_string();
    assert!(told.ends_with('.') && !told.contains('\n'), "{told:?}");
    told
}

fn assert_told(told: &str, part: &str) {
    assert!(told.contains(part), "{told:?} lacks {part:?}");
}

fn later() -> DateTime<Utc> {
    now() + TimeDelta::minutes(1)
}

fn job() -> JobId {
    JobId(Uuid::nil())
}

#[test]
fn a_pause_is_told_with_who_why_and_until_when() {
    let paused = |until| {
        told(|facts| {
            facts.pause = Some(Pause {
                what: say!("the queue `{name}`", name = "sync"),
                by: "ops".to_owned(),
                reason: "maintenance".to_owned(),
                until,
            });
        })
    };

    assert_told(
        &paused(None),
        "ops paused the queue `sync` until somebody resumes it (maintenance)",
    );
    assert_told(
        &paused(Some(later())),
        "until 2024-10-04T00:01:00Z (maintenance)",
    );
}

#[test]
fn a_time_in_the_future_is_told_with_its_reason() {
    let waits = |attempt, error: Option<&str>| {
        told(|facts| {
            facts.run_at = later();
            facts.attempt = attempt;
            facts.last_error = error.map(ToOwned::to_owned);
        })
    };

    assert_told(&waits(0, None), "Scheduled for 2024-10-04T00:01:00Z.");
    assert_told(
        &waits(0, Some("still syncing")),
        "Put off until 2024-10-04T00:01:00Z: still syncing.",
    );
    let failed = waits(2, Some("502.\nmore"));
    assert_told(
        &failed,
        "Backing off until 2024-10-04T00:01:00Z, since attempt 2 failed: 502.",
    );
}

#[test]
fn missing_workers_and_blocked_lanes_are_told() {
    let unserved = told(|facts| facts.is_queue_served = false);
    let nobody = told(|facts| (facts.is_any_worker, facts.is_queue_served) = (false, false));
    let blocked = told(|facts| {
        facts.blocked_until = Some(later());
        facts.blocked_reason = Some("429".to_owned());
    });

    assert_told(&unserved, "No running worker serves the queue `sync`.");
    assert_told(&nobody, "No worker is running.");
    assert_told(
        &blocked,
        "Its lane `acct:1` rests until 2024-10-04T00:01:00Z: 429.",
    );
}

#[test]
fn an_owner_that_starts_nothing_is_told() {
    let owned = |change: fn(&mut Owner)| {
        told(|facts| {
            let mut owner = owner();
            change(&mut owner);
            facts.owner = Some(owner);
        })
    };

    let gone = "which is gone; another takes it over";
    assert_told(&owned(|owner| owner.state = "dead".to_owned()), gone);
    assert_told(&owned(|owner| owner.lease_until = now()), gone);
    let quiet = owned(|owner| owner.wanted = Some("quiet".to_owned()));
    assert_told(&quiet, "which was told to quiet and starts nothing more");
    let other = owned(|owner| owner.is_serving_queue = false);
    assert_told(&other, "does not serve the queue `sync`");
    assert_told(
        &owned(|_| ()),
        "should that worker be dead, its lease ends in 9 s.",
    );
}

#[test]
fn jobs_in_the_way_are_told() {
    let limited = told(|facts| facts.limit_holder = Some(("Employee".to_owned(), job())));
    let twin = told(|facts| facts.unique_holder = Some(job()));
    let busy = told(|facts| {
        facts.owner = Some(owner());
        facts.running = Some((1, job()));
        facts.jobs_before = 3;
    });

    assert_told(&limited, "runs with the same limit key `Employee`");
    assert_told(
        &twin,
        "of the kind `fetch` waits or runs with the same unique key",
    );
    assert_told(
        &busy,
        "should it be dead, its lease ends in 9 s), and 3 jobs wait before it.",
    );
}

#[test]
fn a_lane_that_waits_is_told() {
    let next = "Its lane is the next to be taken by a worker with a free slot.";
    assert_told(&told(|_| ()), next);
    assert_told(
        &told(|facts| facts.lanes_before = 1),
        "1 lane waits longer.",
    );
    assert_told(
        &told(|facts| facts.lanes_before = 1000),
        "1000 or more lanes wait longer.",
    );
    assert_told(
        &told(|facts| facts.due_at = Some(later())),
        "which is later than it should be.",
    );
    assert_told(
        &told(|facts| facts.due_at = None),
        "Its lane is not due, which it should be",
    );
}

async fn why(client: &Client, id: JobId) -> Option<String> {
    client
        .detail(id)
        .await
        .unwrap()
        .unwrap()
        .why_not_running
        .map(String::from)
}

// Waking others connects in the background; in one thread that would be cut off half-way, and the database
// could not be dropped for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn the_facts_are_those_of_the_database() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = Client::new(pool.clone());
    let limited = || Probe {
        limit: Some("Employee".to_owned()),
        ..Probe::in_lane("a", Act::Gate)
    };
    let first = probe::add(pool, &limited()).await;

    let unserved = why(&client, first).await.unwrap();
    let worker = probe::worker(pool).await;
    let next = why(&client, first).await.unwrap();
    let attempts = probe::claim_and_start(&client, worker).await;
    let while_running = why(&client, first).await;
    let second = probe::add(pool, &limited()).await;
    let behind = why(&client, second).await.unwrap();
    pause(
        &client,
        &Scope::Kind("probe".to_owned()),
        "ops",
        "a bug",
        None,
    )
    .await
    .unwrap();
    let paused = why(&client, second).await.unwrap();
    probe::expire(pool, worker).await;

    assert_eq!(unserved, "No worker is running.");
    assert_eq!(
        next,
        "Its lane is the next to be taken by a worker with a free slot."
    );
    assert_eq!(while_running, None);
    assert_eq!(
        behind,
        format!("Job {first} runs with the same limit key `Employee`; this one runs after it.")
    );
    assert_eq!(
        paused,
        "Paused: ops paused the kind `probe` until somebody resumes it (a bug)."
    );
    drop(attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_knows_its_attempts_and_its_children() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = Client::new(pool.clone());
    let id = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let worker = probe::worker(pool).await;
    let (ready, mut attempt) = probe::claim_and_start(&client, worker).await.pop().unwrap();
    let running = client.detail(id).await.unwrap().unwrap();

    let mut tx = attempt.begin().await.unwrap();
    let child = crate::NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let child = crate::enqueue(&mut tx, &child).await.unwrap().id;
    attempt.complete(tx, serde_json::json!({})).await.unwrap();
    drop(ready);
    let done = client.detail(id).await.unwrap().unwrap();

    let told = |spans: &[crate::view::Span]| {
        let spans = spans
            .iter()
            .map(|span| (span.attempt, span.outcome.clone(), span.worker));
        spans.collect::<Vec<_>>()
    };
    assert_eq!(
        told(&running.timeline),
        [(1, "running".to_owned(), Some(worker))]
    );
    assert_eq!(
        told(&done.timeline),
        [(1, "completed".to_owned(), Some(worker))]
    );
    assert_eq!(done.children, [child]);
    assert_eq!(
        client.get(child).await.unwrap().unwrap().parent_id,
        Some(id)
    );
}
