use queue::pause::Scope;
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn worker() -> WorkerView {
    WorkerView {
        id: queue::WorkerId(uuid::Uuid::nil()),
        state: "running".to_owned(),
        wanted: None,
        host: "one".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        slots: json!({ "sync": 16 }),
        running: 0,
        connections: 20,
        connections_in_use: 3,
        lanes: 0,
        started_at: now(),
        ended_at: None,
        lease_left: std::time::Duration::from_secs(12),
    }
}

fn well() -> Snapshot {
    let queue = QueueState {
        available: 3,
        running: 1,
        slots: 16,
        ..QueueState::default()
    };
    Snapshot {
        now: now(),
        queues: BTreeMap::from([("sync".to_owned(), queue)]),
        pauses: Vec::new(),
        workers: vec![worker()],
        groups: Vec::new(),
        schedules: Vec::new(),
        accounts: Vec::new(),
        delivery_waits_since: None,
        last_hour: Rollup::empty(Window::Hour),
        budget: Shares {
            permits: 3,
            are_short: false,
        },
    }
}

fn sync(snapshot: &mut Snapshot) -> &mut QueueState {
    snapshot.queues.get_mut("sync").unwrap()
}

#[test]
fn what_is_well_is_said_in_one_sentence() {
    assert_eq!(well().findings(), []);
    assert_eq!(
        well().sentence().to_string(),
        "All well: 1 worker at work, 4 jobs in hand, none late."
    );
}

/// Spoils a service that is well.
type Break = fn(&mut Snapshot);

#[test]
fn each_trouble_says_what_and_where() {
    let break_it: [(Break, &str, &str); 6] = [
        (
            |s| s.workers.clear(),
            "No worker is running: no job starts.",
            "workers",
        ),
        (
            |s| s.workers[0].lease_left = std::time::Duration::ZERO,
            "1 worker is silent: another takes over within seconds.",
            "workers",
        ),
        (
            |s| sync(s).slots = 0,
            "No running worker serves the queue sync, and jobs wait in it.",
            "queues",
        ),
        (
            |s| sync(s).oldest_due = Some(now() - TimeDelta::minutes(9)),
            "The oldest job due in the queue sync has waited for 8 min.",
            "jobs?state=available&state=retryable&queue=sync",
        ),
        (
            |s| s.delivery_waits_since = Some(now() - TimeDelta::minutes(61)),
            "A webhook has waited for 1 h 1 min to be judged.",
            "webhooks?verdict=received",
        ),
        (
            |s| {
                let status = AccountStatus::Error;
                s.accounts.push(StatusCount {
                    status,
                    accounts: 2,
                });
            },
            "2 accounts are refused by Merge.",
            "accounts?status=error",
        ),
    ];
    for (change, sentence, page) in break_it {
        let mut snapshot = well();
        change(&mut snapshot);

        let findings = snapshot.findings();

        let is_it = |finding: &Finding| {
            finding.severity == Severity::Trouble
                && finding.sentence.to_string() == sentence
                && finding.page == page
        };
        assert!(findings.iter().any(is_it), "{findings:?}");
        assert!(!snapshot.sentence().to_string().starts_with("All well"));
    }
}

#[test]
fn a_paused_queue_is_trouble_and_a_paused_lane_is_good_to_know() {
    let mut snapshot = well();
    for scope in [
        Scope::Lane(queue::Lane::organization("a")),
        Scope::Queue(queue::Queue::SYNC),
    ] {
        snapshot.pauses.push(Pause {
            scope,
            paused_by: "anna".to_owned(),
            reason: "Merge is down.".to_owned(),
            paused_at: now() - TimeDelta::hours(2),
            paused_until: None,
        });
    }

    let findings = snapshot.findings();

    assert_eq!(findings[0].severity, Severity::Trouble);
    let expected = "The queue sync is paused by anna for 2 h: Merge is down.";
    assert_eq!(findings[0].sentence.to_string(), expected);
    assert_eq!(findings[1].severity, Severity::Notice);
    assert_eq!(snapshot.sentence().to_string(), expected);
}

#[test]
fn dead_jobs_are_told_until_their_group_is_resolved() {
    let mut snapshot = well();
    let group = |resolved: Option<i64>| DeadGroup {
        fingerprint: "f".to_owned(),
        kind: "resync".to_owned(),
        error_class: "timeout".to_owned(),
        http_status: None,
        message: "m".to_owned(),
        newest: queue::JobId(uuid::Uuid::nil()),
        jobs: 1_200,
        lanes: 3,
        first_seen_at: now() - TimeDelta::hours(9),
        last_seen_at: now() - TimeDelta::hours(3),
        trend: vec![0; 24],
        resolution: resolved.map(|hours| groups::Resolution {
            by: "anna".to_owned(),
            reason: "mended".to_owned(),
            at: now() - TimeDelta::hours(hours),
        }),
    };
    let told = "1,200 jobs are dead, of 1 cause, the last 3 h ago.";
    for (resolved, is_told) in [(None, true), (Some(2), false), (Some(4), true)] {
        snapshot.groups = vec![group(resolved)];
        let findings = snapshot.findings();
        assert_eq!(
            findings
                .iter()
                .any(|finding| finding.sentence.to_string() == told),
            is_told,
            "{findings:?}"
        );
    }
}

#[test]
fn a_worker_that_was_lost_is_told_of_for_an_hour() {
    for (minutes, is_told) in [(59, true), (61, false)] {
        let mut snapshot = well();
        let lost = WorkerView {
            state: "dead".to_owned(),
            ended_at: Some(now() - TimeDelta::minutes(minutes)),
            ..worker()
        };
        snapshot.workers.push(lost);

        let findings = snapshot.findings();

        let told = "1 worker was lost in the last hour, the last 59 min ago (process 1 on one); others took over \
                    what it held.";
        let is_found = findings.iter().any(|finding| {
            finding.sentence.to_string() == told && finding.severity == Severity::Notice
        });
        assert_eq!(is_found, is_told, "{findings:?}");
    }
}
