//! What jobs died of, by command.

use super::binary::{json, run};
use crate::support::TestApp;

#[tokio::test]
async fn a_group_is_seen_retried_resolved_and_reopened() {
    let app = TestApp::new().await;
    app.dead_jobs(3, "of this").await;

    let groups = json(&app, &["dead", "list"]).await;
    assert_eq!(
        (groups.as_array().unwrap().len(), &groups[0]["jobs"]),
        (1, &3.into())
    );
    let group = groups[0]["fingerprint"].as_str().unwrap();
    let shown = json(&app, &["dead", "show", group]).await;
    assert_eq!(shown["newest_jobs"].as_array().unwrap().len(), 3);
    let (_, table, _) = run(&app, &["dead", "list"]).await;
    assert!(
        table.contains(group) && table.contains("of this"),
        "{table}"
    );

    assert_eq!(
        run(&app, &["dead", "resolve", group, "--reason", "mended"])
            .await
            .0,
        0
    );
    assert_eq!(json(&app, &["dead", "list"]).await, serde_json::json!([]));
    let all = json(&app, &["dead", "list", "--resolved"]).await;
    assert_eq!(all[0]["resolution"]["reason"], "mended");
    assert_eq!(run(&app, &["dead", "reopen", group]).await.0, 0);
    assert_eq!(run(&app, &["dead", "reopen", group]).await.0, 65);

    let retry = [
        "jobs", "bulk", "retry", "--group", group, "--reason", "mended", "--count", "3",
    ];
    assert_eq!(json(&app, &retry).await["jobs"], 3);
    app.run_due_jobs().await;
    for verb in [
        &["dead", "show", group][..],
        &["dead", "resolve", group, "--reason", "r"],
    ] {
        let (code, _, stderr) = run(&app, verb).await;
        assert!(
            code == 66 && stderr.contains("group of dead jobs"),
            "{stderr}"
        );
    }
}
