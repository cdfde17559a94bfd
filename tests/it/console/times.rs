//! What the overview and the queues tell of the last hour, day and week, from what processes measured.

use std::time::Duration;

use queue::Queue;
use queue::rollups::Measure;

use crate::support::TestApp;

#[tokio::test]
async fn what_processes_measured_is_on_the_pages() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let tally = app.tally();
    for _ in 0..1_234 {
        tally.note_job(
            Measure::Wait,
            Queue::SYNC,
            "poll_sync_status",
            Duration::from_millis(40),
        );
        tally.note_job(
            Measure::Completed,
            Queue::SYNC,
            "poll_sync_status",
            Duration::from_secs(3),
        );
    }
    tally.note_job(
        Measure::Failed,
        Queue::SYNC,
        "resync",
        Duration::from_secs(30),
    );
    tally.store(app.pool()).await.unwrap();

    let overview = viewer.get("").await.page();
    for shown in ["1,234", "1 hour", "24 hours", "7 days"] {
        assert!(overview.contains(shown), "{shown} in {overview}");
    }
    for window in ["1h", "24h", "7d"] {
        let page = viewer.get(&format!("queues?window={window}")).await.page();
        let row = page.split("jobs?kind=poll_sync_status").nth(1);
        let row = row.and_then(|rest| rest.split("</tr>").next()).unwrap();
        assert!(row.contains("1,234"), "{row}");
        assert!(row.contains(" ms</td>") && row.contains(" s</td>"), "{row}");
        assert!(page.contains("jobs?kind=resync"), "{page}");
    }
    let unknown = viewer.get("queues?window=9y").await;
    assert_eq!(unknown.status, 422, "{}", unknown.page());
}

#[tokio::test]
async fn slow_answers_to_webhooks_are_told_and_few_of_them_are_not() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let slow = Duration::from_millis(80);
    app.tally().note(Measure::Acknowledgement, slow);
    app.tally().store(app.pool()).await.unwrap();
    let told = "One webhook of a hundred was answered after";
    assert!(!viewer.get("").await.page().contains(told));

    for _ in 0..200 {
        app.tally().note(Measure::Acknowledgement, slow);
    }
    app.tally().store(app.pool()).await.unwrap();

    assert!(viewer.get("").await.page().contains(told));
}

#[tokio::test]
async fn requests_that_had_to_wait_for_the_error_budget_are_told() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    for _ in 0..15 {
        app.tally().note(Measure::ErrorAnswer, Duration::ZERO);
    }
    app.tally().note(Measure::BudgetExhausted, Duration::ZERO);
    app.tally().store(app.pool()).await.unwrap();

    let page = viewer.get("").await.page();

    let told = "Merge gave 15 error answers in the last hour, so that 1 request was put off";
    assert!(page.contains(told), "{page}");
}
