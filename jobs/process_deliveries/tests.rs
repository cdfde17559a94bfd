use super::*;

fn event(body: &serde_json::Value) -> Event {
    Event::parse(body.to_string().as_bytes()).unwrap()
}

#[test]
fn payload_is_frozen() {
    let payload = json!({ "shard": 3 });

    let job: ProcessDeliveries = serde_json::from_value(payload.clone()).unwrap();

    assert_eq!(serde_json::to_value(&job).unwrap(), payload);
    assert_eq!(job.lane().as_str(), "webhooks:3");
}

#[test]
fn only_an_event_with_its_own_time_can_be_skipped() {
    let finish = "2026-02-04T03:16:41Z";
    let cases = [
        (
            json!({ "hook": { "event": "Employee.synced" }, "data": { "sync_status": "DONE" } }),
            false,
        ),
        (
            json!({ "hook": { "event": "Employee.synced" }, "data": { "sync_status": {
                "model_id": "hris.Employee", "status": "DONE", "last_sync_finished": finish } } }),
            true,
        ),
        (
            json!({ "hook": { "event": "LinkedAccount.sync_completed" }, "data": { "sync_status": {
                "hris.Employee": { "last_sync_finished": finish, "last_sync_result": "DONE" } } } }),
            true,
        ),
        (
            json!({ "hook": { "event": "LinkedAccount.sync_completed" }, "data": {} }),
            false,
        ),
        (
            json!({ "hook": { "event": "LinkedAccount.linked" }, "data": {} }),
            false,
        ),
        (
            json!({ "hook": { "event": "LinkedAccount.linked" }, "data": { "account_token": "at" } }),
            true,
        ),
        (
            json!({ "hook": { "event": "Employee.changed" }, "data": { "modified_at": finish } }),
            true,
        ),
        (
            json!({ "hook": { "event": "Employee.removed" }, "data": { "id": "1" } }),
            false,
        ),
        (
            json!({ "hook": { "event": "Issue.new" }, "data": {} }),
            false,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(tells_its_own_time(&event(&body)), expected, "{body}");
    }
}
