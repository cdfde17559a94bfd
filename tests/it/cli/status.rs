//! Is all well, and what is this the id of? By command.

use super::binary::{json, run};
use crate::support::TestApp;

#[tokio::test]
async fn the_exit_code_says_whether_all_is_well() {
    let app = TestApp::new().await;

    let (alone, said, stderr) = run(&app, &["status"]).await;
    assert_eq!((alone, stderr.as_str()), (1, ""), "{said}");
    assert!(
        said.starts_with("No worker is running: no job starts."),
        "{said}"
    );
    app.silent_worker().await;
    let (well, said, stderr) = run(&app, &["status"]).await;
    assert_eq!(well, 0, "{said}{stderr}");
    assert!(said.starts_with("All well: 1 worker at work"), "{said}");
    assert_eq!(json(&app, &["status"]).await["is_well"], true);

    app.dead_job("of this").await;
    run(
        &app,
        &["queues", "pause", "--queue", "sync", "--reason", "r"],
    )
    .await;
    let (code, shown, _) = run(&app, &["status", "--json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["is_well"]), (1, &false.into()));
    let findings = shown["findings"].as_array().unwrap();
    assert!(
        findings.len() >= 2 && findings[0]["severity"] == "trouble",
        "{findings:?}"
    );
}

#[tokio::test]
async fn any_id_leads_to_the_command_that_shows_it() {
    let app = TestApp::new().await;
    let account = app.linked_account("o'1", "hris").await.to_string();
    let job = app.dead_job("of this").await.to_string();
    let delivery = app.judged_delivery().await.to_string();
    let worker = app.silent_worker().await.to_string();
    let retry = [
        "jobs", "bulk", "retry", "--state", "dead", "--reason", "r", "--yes",
    ];
    let bulk = json(&app, &retry).await["target"]
        .as_str()
        .unwrap()
        .to_owned();
    let known = json(&app, &["accounts", "show", &account]).await;
    let at_merge = known["account"]["merge_account_id"].as_str().unwrap();
    let lane = format!("acct:{account}");

    for (id, expected) in [
        (&job, format!("syncline jobs show {job}")),
        (&account, format!("syncline accounts show {account}")),
        (&lane, format!("syncline accounts show {account}")),
        (
            &at_merge.to_owned(),
            format!("syncline accounts show {account}"),
        ),
        (&delivery, format!("syncline webhooks show {delivery}")),
        (&bulk, format!("syncline jobs bulk show {bulk}")),
        (&worker, format!("syncline jobs list --worker {worker}")),
        (
            &"o'1".to_owned(),
            r"syncline accounts list --organization 'o'\''1'".to_owned(),
        ),
    ] {
        let (code, said, stderr) = run(&app, &["search", id]).await;
        assert_eq!((code, said.trim()), (0, expected.as_str()), "{stderr}");
    }
    let (code, _, stderr) = run(&app, &["search", "nothing"]).await;
    assert!(
        code == 66 && stderr.contains("there is no nothing here"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_live_view_needs_a_terminal() {
    let app = TestApp::new().await;

    let (code, said, stderr) = run(&app, &["top"]).await;

    assert_eq!((code, said.as_str()), (65, ""));
    assert!(stderr.contains("use `syncline status --watch`"), "{stderr}");
}
