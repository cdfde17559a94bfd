//! Jobs, one and many, by command.

use serde_json::Value;

use super::binary::{json, run};
use crate::support::TestApp;

/// The ids of a list.
fn ids(page: &Value) -> Vec<&str> {
    let jobs = page["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn filters_combine_and_pages_follow_each_other() {
    let app = TestApp::new().await;
    let waiting = app.waiting_job().await.to_string();
    let dead = app.dead_jobs(5, "of \u{1b}[2Jthis").await;
    app.dead_job("of that").await;

    let all = json(&app, &["jobs", "list"]).await;
    let this = json(
        &app,
        &["jobs", "list", "--state", "dead", "--error", "this"],
    )
    .await;
    let filter = [
        "jobs",
        "list",
        "--state",
        "dead,retryable",
        "--class",
        "merge_unavailable",
        "--http-status",
        "503",
        "--queue",
        "sync",
        "--kind",
        "poll_sync_status",
        "--payload",
        "account_id",
        "--time",
        "finished",
        "--from",
        "2020-01-01T00:00:00Z",
    ];
    let by_all = json(&app, &filter).await;
    let first = json(&app, &["jobs", "list", "--limit", "4"]).await;
    let next = first["next"].as_str().unwrap();
    let rest = json(&app, &["jobs", "list", "--limit", "4", "--after", next]).await;
    let (_, table, _) = run(&app, &["jobs", "list", "--limit", "4"]).await;

    assert_eq!(
        (ids(&all).len(), ids(&this).len(), ids(&by_all).len()),
        (7, 5, 6)
    );
    assert_eq!(all["next"], Value::Null);
    assert_eq!([ids(&first), ids(&rest)].concat(), ids(&all));
    assert!(
        ids(&all).contains(&waiting.as_str()) && ids(&all).contains(&dead[0].to_string().as_str())
    );
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.contains(&format!("More: --after {next}")), "{table}");
    assert!(
        !table.contains('\u{1b}'),
        "piped, and without what a terminal obeys: {table:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_no_empty_list() {
    let app = TestApp::new().await;
    for (args, expected) in [
        (&["--state", "gone"][..], 2),
        (&["--queue", "typo"], 2),
        (&["--account", "1"], 2),
        (&["--from", "yesterday"], 2),
        (&["--http-status", "7"], 65),
        (&["--min-attempt", "3", "--max-attempt", "2"], 65),
    ] {
        let (code, stdout, stderr) = run(&app, &[&["jobs", "list"], args].concat()).await;
        assert_eq!(
            (code, stdout.as_str()),
            (expected, ""),
            "{args:?}: {stderr}"
        );
    }
}

#[tokio::test]
async fn a_job_says_why_it_waits() {
    let app = TestApp::new().await;
    let id = app.waiting_job().await.to_string();

    let shown = json(&app, &["jobs", "show", &id]).await;
    let (_, text, _) = run(&app, &["jobs", "show", &id]).await;

    let why = shown["why_not_running"].as_str().unwrap();
    assert_eq!(text.lines().next(), Some(why));
    assert_eq!(shown["job"]["id"], id);
    assert!(
        text.contains("account_id") && text.contains("attempts"),
        "{text}"
    );
}

#[tokio::test]
async fn secrets_in_a_payload_stay_hidden() {
    let app = TestApp::new().await;
    let id = app.dead_job("of this").await;
    sqlx::query!(
        r#"UPDATE syncline.dead_jobs SET payload = '{"account_token": "canary-1", "b": ["sk_canary-2"]}'"#
    )
    .execute(app.pool())
    .await
    .unwrap();

    let id = id.to_string();
    let shown = json(&app, &["jobs", "show", &id]).await.to_string();
    let (_, text, _) = run(&app, &["jobs", "show", &id]).await;

    assert!(
        !shown.contains("canary") && shown.contains("(hidden)"),
        "{shown}"
    );
    assert!(
        !text.contains("canary") && text.contains("(hidden)"),
        "{text}"
    );
}

#[tokio::test]
async fn one_job_is_retried_put_off_changed_cancelled_and_deleted() {
    let app = TestApp::new().await;
    let id = app.dead_job("of this").await.to_string();
    let job = |verb: &'static str, rest: &'static [&'static str]| {
        let (app, id) = (&app, &id);
        async move { run(app, &[&["jobs", verb, id], rest].concat()).await }
    };
    let state = async || json(&app, &["jobs", "show", &id]).await["job"]["state"].clone();

    assert_eq!(job("snooze", &["--for", "1h"]).await.0, 65, "it has ended");
    let (code, said, _) = job("retry", &["--reason", "mended"]).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "It runs again, with a fresh set of attempts.\n")
    );
    assert_eq!(state().await, "available");
    assert_eq!(job("snooze", &["--for", "1h"]).await.0, 0);
    assert_eq!(state().await, "scheduled");
    assert_eq!(job("retry-now", &[]).await.0, 0);
    assert_eq!(state().await, "available");
    assert_eq!(job("edit", &["--priority", "-3"]).await.0, 0);
    assert_eq!(json(&app, &["jobs", "show", &id]).await["priority"], -3);
    assert_eq!(job("edit", &[]).await.0, 65, "it changes nothing");

    let (code, _, stderr) = job("cancel", &["--reason", "not needed"]).await;
    assert!(code == 65 && stderr.contains("say --yes"), "{stderr}");
    assert_eq!(state().await, "available", "nobody was there to be asked");
    assert_eq!(
        job("cancel", &["--reason", "not needed", "--yes"]).await.0,
        0
    );
    assert_eq!(state().await, "cancelled");
    let other = app.dead_job("of that").await.to_string();
    let delete = ["jobs", "delete", &other, "--reason", "r", "--yes"];
    let deleted = json(&app, &delete).await;
    assert_eq!(
        (&deleted["deed"], &deleted["target"]),
        (&"job.delete".into(), &other.as_str().into())
    );
    let (code, _, stderr) = run(&app, &delete).await;
    assert!(code == 66 && stderr.contains("there is no job"), "{stderr}");

    let done: Vec<String> = app
        .audited()
        .await
        .into_iter()
        .map(|(_, action)| action)
        .collect();
    assert_eq!(
        done,
        [
            "job.retry",
            "job.snooze",
            "job.retry_now",
            "job.edit",
            "job.cancel",
            "job.delete"
        ]
    );
}

#[tokio::test]
async fn many_jobs_are_counted_then_done_then_followed() {
    let app = TestApp::new().await;
    app.dead_jobs(30, "of this").await;
    app.dead_job("of that").await;
    let delete = [
        "jobs", "bulk", "delete", "--state", "dead", "--error", "of this", "--reason", "r",
    ];
    let with = |rest: &[&'static str]| [&delete, rest].concat();

    let counted = json(&app, &with(&["--dry-run"])).await;
    let (asked, _, _) = run(&app, &delete).await;
    assert_eq!(
        (&counted["jobs"], &counted["state"]),
        (&30.into(), &"prepared".into())
    );
    assert_eq!(counted["sample"].as_array().unwrap().len(), 10);
    assert_eq!(asked, 65, "nobody was there to be asked");
    let (wrong, _, stderr) = run(&app, &with(&["--count", "29"])).await;
    assert!(
        wrong == 65 && stderr.contains("30 jobs, not 29"),
        "{stderr}"
    );
    assert!(app.pending("run_bulk_action").await.is_empty());

    let begun = json(&app, &with(&["--yes"])).await;
    let id = begun["target"].as_str().unwrap();
    app.run_due_jobs().await;
    let ended = json(&app, &["jobs", "bulk", "show", id]).await;
    let listed = json(&app, &["jobs", "bulk", "list"]).await;

    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&"done".into(), &30.into())
    );
    assert_eq!(
        (&listed[0]["id"], listed.as_array().unwrap().len()),
        (&id.into(), 1)
    );
    assert_eq!(
        ids(&json(&app, &["jobs", "list"]).await).len(),
        2,
        "that, and the job of the action"
    );
    assert_eq!(
        run(&app, &["jobs", "bulk", "stop", id]).await.0,
        65,
        "it does not run"
    );
    let impossible = [
        "jobs", "bulk", "cancel", "--state", "dead", "--reason", "r", "--yes",
    ];
    assert_eq!(run(&app, &impossible).await.0, 65);
}

#[tokio::test]
async fn more_than_a_thousand_need_their_number() {
    let app = TestApp::new().await;
    app.dead_jobs(1_001, "of this").await;
    let retry = ["jobs", "bulk", "retry", "--state", "dead", "--reason", "r"];

    let (yes, _, stderr) = run(&app, &[&retry[..], &["--yes"]].concat()).await;
    assert!(yes == 65 && stderr.contains("say --count 1001"), "{stderr}");
    assert!(app.pending("run_bulk_action").await.is_empty());
    let begun = json(&app, &[&retry[..], &["--count", "1001"]].concat()).await;
    let id = begun["target"].as_str().unwrap();
    let stopped = json(&app, &["jobs", "bulk", "stop", id]).await;
    app.run_due_jobs().await;

    assert_eq!(stopped["deed"], "bulk.stop");
    let shown = json(&app, &["jobs", "bulk", "show", id]).await;
    assert_eq!(
        (&shown["state"], &shown["done"]),
        (&"stopped".into(), &0.into())
    );
}
