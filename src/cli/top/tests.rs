use chrono::{DateTime, TimeDelta, Utc};
use console::measure_text_width;
use queue::Lane;
use queue::admin::groups::DeadGroup;
use queue::error_budget::Shares;
use queue::rollups::{Rollup, Window};
use queue::workers::WorkerView;
use serde_json::json;

use super::*;
use crate::ops::health::QueueState;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn busy(completed: u64) -> View {
    let queue = QueueState {
        available: 1_234_567,
        running: 16,
        slots: 16,
        dead: 7,
        completed_today: completed,
        oldest_due: Some(now() - TimeDelta::hours(2)),
        ..QueueState::default()
    };
    let worker = |pid| WorkerView {
        id: queue::WorkerId(uuid::Uuid::nil()),
        state: "running".to_owned(),
        wanted: None,
        host: "worker-host".to_owned(),
        pid,
        version: "0".to_owned(),
        slots: json!({ "sync": 16 }),
        running: 16,
        connections: 20,
        connections_in_use: 3,
        lanes: 4,
        started_at: now(),
        ended_at: None,
        lease_left: Duration::from_secs(12),
    };
    let group = DeadGroup {
        fingerprint: "f".to_owned(),
        kind: "resync".to_owned(),
        error_class: "timeout".to_owned(),
        http_status: None,
        message: "no \u{1b}[2J answer ".repeat(40),
        newest: queue::JobId(uuid::Uuid::nil()),
        jobs: 7,
        lanes: 3,
        first_seen_at: now(),
        last_seen_at: now(),
        trend: vec![0; 24],
        resolution: None,
    };
    let lane = |number: i64| LaneView {
        lane: Lane::organization(&format!("{number:0>40}")),
        owner: None,
        owner_process: None,
        due_at: None,
        blocked_until: None,
        blocked_reason: None,
        burst_free_at: None,
        crashes: 0,
        running: 0,
        due: number,
        scheduled: 0,
        oldest_due_at: Some(now()),
    };
    let names = ["interactive", "maintenance", "outbound", "sync", "webhooks"];
    View {
        snapshot: Snapshot {
            now: now(),
            queues: names.map(|name| (name.to_owned(), queue.clone())).into(),
            pauses: Vec::new(),
            workers: (1..=9).map(worker).collect(),
            groups: vec![group; 9],
            schedules: Vec::new(),
            accounts: Vec::new(),
            delivery_waits_since: None,
            last_hour: Rollup::empty(Window::Hour),
            budget: Shares {
                permits: 0,
                are_short: false,
            },
        },
        lanes: (1..=9).map(lane).collect(),
        seen_at: Instant::now(),
        rates: BTreeMap::new(),
        fault: None,
        is_paused: false,
    }
}

#[test]
fn a_frame_fits_every_terminal() {
    let view = busy(0);
    for (width, height) in [(80, 24), (120, 50), (40, 10), (20, 5), (1, 1), (300, 100)] {
        let frame = view.frame(width, height);

        assert!(frame.len() <= height, "{width}x{height}: {frame:#?}");
        for line in &frame {
            assert!(
                measure_text_width(line) <= width,
                "{width}x{height}: {line}"
            );
            assert!(!line.contains("\u{1b}[2J"), "{line:?}");
        }
    }
}

#[test]
fn the_smallest_usual_terminal_shows_something_of_all() {
    let frame = busy(0).frame(80, 24).join("\n");

    for part in [
        "1,234,567",
        "webhooks",
        "worker-host:1",
        "resync",
        "q quits",
    ] {
        assert!(frame.contains(part), "no {part} in\n{frame}");
    }
    let busiest = format!("org:{:0>40}", 9);
    assert!(
        frame.contains(&busiest),
        "the busiest lane comes first\n{frame}"
    );
}

#[test]
fn rates_are_what_ended_between_two_looks() {
    let mut view = busy(100);
    let mut later = busy(150);
    later.seen_at = view.seen_at + Duration::from_secs(10);
    view.is_paused = true;

    view.follow(later);

    assert!((view.rates["sync"] - 5.0).abs() < 0.001, "{:?}", view.rates);
    assert!(view.is_paused, "looking once does not end a pause");
    let midnight = Instant::now() + Duration::from_secs(20);
    let mut next_day = busy(0);
    next_day.seen_at = midnight;
    view.follow(next_day);
    assert!(
        view.rates["sync"].abs() < 0.001,
        "a new day's count begins anew"
    );
}

#[test]
fn a_look_that_failed_is_told_and_the_last_one_stays() {
    let mut view = busy(0);
    view.fault = Some("cannot look: gone\nfishing".to_owned());

    let frame = view.frame(80, 24);

    assert!(frame[1].contains("cannot look: gone fishing"), "{frame:#?}");
    assert!(frame.join("\n").contains("worker-host:1"));
}
