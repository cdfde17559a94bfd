use chrono::{DateTime, Utc};

use super::*;
use crate::Selection;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

fn status(model_id: &str) -> SyncStatus {
    let json = json!({
        "model_id": model_id,
        "status": "DONE",
        "last_sync_result": "DONE",
        "last_sync_start": at(0),
        "last_sync_finished": at(60),
        "is_initial_sync": false,
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn payload_is_frozen() {
    let payload = json!({ "account_id": "00000000-0000-0000-0000-000000000007" });

    let job: PollSyncStatus = serde_json::from_value(payload.clone()).unwrap();

    assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    assert_eq!(
        job.unique_key().as_deref(),
        Some("00000000-0000-0000-0000-000000000007")
    );
}

#[test]
fn spellings_of_one_model_are_one_observation() {
    let statuses = [
        status("hris.employees"),
        status("hris.Employee"),
        status("HRIS.EMPLOYEE"),
    ];

    let observations = observations(&statuses, &HashSet::new(), &SyncSettings::default());

    let ids: Vec<_> = observations
        .iter()
        .map(|found| found.model_id.as_str())
        .collect();
    assert_eq!(ids, ["hris.Employee"]);
    assert_eq!(observations[0].ready_through, Some(at(60)));
}

#[test]
fn a_model_that_is_not_selected_is_kept_without_a_mark() {
    let settings = SyncSettings {
        selection: Selection::of(["hris.Team"]).unwrap(),
        ..SyncSettings::default()
    };
    let statuses = [status("hris.Employee"), status("hris.Team")];

    let observations = observations(&statuses, &HashSet::new(), &settings);

    assert_eq!(observations[0].refusal.as_deref(), Some("not_selected"));
    assert_eq!(observations[0].ready_through, None);
    assert_eq!(observations[1].refusal, None);
    assert_eq!(observations[1].ready_through, Some(at(60)));
}

#[test]
fn an_unknown_model_is_kept_but_not_waited_for() {
    let observations = observations(
        &[status("hris.Deduction")],
        &HashSet::new(),
        &SyncSettings::default(),
    );

    assert_eq!(observations[0].model_id, "hris.Deduction");
    assert_eq!(observations[0].refusal.as_deref(), Some("unknown_model"));
}

#[test]
fn polls_in_the_rhythm_of_the_account() {
    let settings = SyncSettings::default();
    let with_next = |seconds| SyncStatus {
        next_sync_start: Some(at(seconds)),
        ..status("hris.Employee")
    };
    let cases = [
        (false, vec![with_next(300)], settings.poll_initial),
        (true, vec![with_next(300)], settings.poll_fast),
        (
            true,
            vec![with_next(86_400), with_next(300)],
            settings.poll_fast,
        ),
        (true, vec![with_next(86_400)], settings.poll_slow),
        (true, vec![with_next(-5)], settings.poll_slow),
        (true, vec![], settings.poll_slow),
    ];
    for (is_initially_synced, statuses, expected) in cases {
        assert_eq!(
            next_poll(&settings, is_initially_synced, &statuses),
            expected
        );
    }
}

#[test]
fn polls_at_least_daily() {
    let settings = SyncSettings {
        poll_slow: Duration::from_hours(1000),
        ..SyncSettings::default()
    };

    let longest = next_poll(&settings, true, &[]).mul_f64(1.2);

    assert!(longest <= LONGEST_INTERVAL);
}
