//! What an attempt asked of Merge and logged, where people look for it.

use std::time::Duration;

use jobs::poll_sync_status::PollSyncStatus;
use merge_sandbox::{Fault, FaultKind};
use queue::NewJob;

use crate::cli::binary;
use crate::support::{Logs, TestApp};

#[tokio::test]
async fn a_job_tells_what_it_asked_of_merge_and_logged_everywhere() {
    // After one failure the account is left alone, and that is logged.
    let app = TestApp::with_settings(&[("SYNCLINE__MERGE__BREAKER_FAILURES", "1")]).await;
    let account_id = app.linked_account("org_1", "hris").await;
    app.merge().add_fault(Fault {
        path_prefix: "/api/hris/v1/sync-status".to_owned(),
        account_token: None,
        times: 1,
        kind: FaultKind::Status {
            status: 503,
            retry_after: None,
        },
    });
    app.advance(Duration::from_hours(24)).await;

    let logs = Logs::capture();
    let job = NewJob::new(&PollSyncStatus { account_id }).unwrap();
    let mut connection = app.pool().acquire().await.unwrap();
    let id = queue::enqueue(&mut *connection, &job).await.unwrap().id;
    app.run_due_jobs().await;
    drop(logs);

    let shown = app.get(&format!("/api/ops/jobs/{id}")).await.expect(200);
    let notes = &shown["timeline"][0]["notes"];
    let request = &notes["requests"][0];
    assert_eq!(request["path"], "hris/v1/sync-status", "{shown}");
    assert_eq!(
        (&request["method"], &request["status"]),
        (&"GET".into(), &503.into())
    );
    let request_id = request["request_id"].as_str().unwrap();
    assert!(request_id.starts_with("sandbox-"), "{shown}");
    let line = &notes["lines"][0];
    assert_eq!(line["level"], "WARN", "{shown}");
    let text = line["text"].as_str().unwrap();
    assert!(text.contains("failures=1"), "{text}");

    let visitor = app.visitor(&["read"]).await;
    let page = visitor.get(&format!("jobs/{id}")).await.page();
    let (_, told, _) = binary::run(&app, &["jobs", "show", &id.to_string()]).await;
    for part in ["hris/v1/sync-status", "503", request_id, "failures=1"] {
        assert!(page.contains(part), "{part}: {page}");
        assert!(told.contains(part), "{part}: {told}");
    }

    // With Merge's id of a request in hand, one gets to the job that made it.
    let found = visitor.get(&format!("search?q={request_id}")).await;
    let address = found.header("location").unwrap_or_default();
    assert!(address.ends_with(&format!("jobs/{id}")), "{address}");
}
