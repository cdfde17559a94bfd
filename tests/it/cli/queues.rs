//! Queues, lanes and workers by command.

use serde_json::{Value, json};

use super::binary::{self, run};
use crate::support::TestApp;

fn queue<'a>(shown: &'a Value, name: &str) -> &'a Value {
    &shown["queues"][name]
}

#[tokio::test]
async fn what_is_paused_is_seen_and_resumed() {
    let app = TestApp::new().await;
    let id = app.waiting_job().await;
    let shown = binary::json(&app, &["jobs", "show", &id.to_string()]).await;
    let lane = shown["job"]["lane"].as_str().unwrap();
    let pause = |what: &[&str]| {
        let args = [
            &["queues", "pause"],
            what,
            &["--reason", "Merge is down", "--for", "30m"],
        ]
        .concat();
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let app = &app;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(app, &args).await
        }
    };

    for what in [
        &["--queue", "sync"][..],
        &["--kind", "resync"],
        &["--lane", lane],
        &["--organization", "org_1"],
        &["--everything"],
    ] {
        let (code, _, stderr) = pause(what).await;
        assert_eq!(code, 0, "{stderr}");
    }
    let shown = binary::json(&app, &["queues", "list"]).await;
    let (_, table, _) = run(&app, &["queues", "list"]).await;

    let pauses = shown["pauses"].as_array().unwrap();
    let scopes: Vec<_> = pauses
        .iter()
        .map(|pause| pause["scope"].as_str().unwrap())
        .collect();
    assert_eq!(scopes.len(), 5, "{scopes:?}");
    assert!(pauses.iter().all(|pause| pause["paused_until"].is_string()));
    assert_eq!(queue(&shown, "sync")["scheduled"], 1);
    assert!(
        table.contains("paused") && table.contains("Merge is down"),
        "{table}"
    );
    let lanes = binary::json(&app, &["lanes", "show", lane]).await;
    assert_eq!(
        (&lanes["lane"], &lanes["scheduled"]),
        (&lane.into(), &1.into())
    );

    for what in [
        &["--queue", "sync"][..],
        &["--kind", "resync"],
        &["--lane", lane],
        &["--organization", "org_1"],
        &["--everything"],
    ] {
        assert_eq!(
            run(&app, &[&["queues", "resume"], what].concat()).await.0,
            0
        );
    }
    let (code, _, stderr) = run(&app, &["queues", "resume", "--queue", "sync"]).await;
    assert!(
        code == 65 && stderr.contains("queue sync is not paused"),
        "{stderr}"
    );
    assert_eq!(
        binary::json(&app, &["queues", "list"]).await["pauses"],
        json!([])
    );
    assert_eq!(app.audited().await.len(), 10);
}

#[tokio::test]
async fn a_pause_is_of_one_thing() {
    let app = TestApp::new().await;
    for what in [
        &[][..],
        &["--queue", "typo"],
        &["--queue", "sync", "--everything"],
    ] {
        let args = [&["queues", "pause", "--reason", "r"], what].concat();
        assert_eq!(run(&app, &args).await.0, 2, "{what:?}");
    }
    let without_reason = ["queues", "pause", "--everything"];
    assert_eq!(run(&app, &without_reason).await.0, 2);
    let nowhere = ["lanes", "show", "org:nobody"];
    assert_eq!(run(&app, &nowhere).await.0, 66);
}

#[tokio::test]
async fn a_lane_that_waits_is_listed() {
    let app = TestApp::new().await;
    app.linked_account("org_1", "hris").await;

    let lanes = binary::json(&app, &["lanes", "list"]).await;
    let (_, table, _) = run(&app, &["lanes", "list"]).await;

    let names = lanes
        .as_array()
        .unwrap()
        .iter()
        .map(|lane| lane["lane"].as_str().unwrap());
    for name in names {
        assert!(table.contains(name), "{table}");
    }
}

#[tokio::test]
async fn a_worker_is_silenced_let_work_and_drained() {
    let app = TestApp::new().await;
    let id = app.silent_worker().await.to_string();
    let wanted = async || {
        let found = sqlx::query_scalar!("SELECT wanted FROM syncline.workers");
        found.fetch_one(app.pool()).await.unwrap()
    };

    assert_eq!(run(&app, &["workers", "quiet", &id]).await.0, 0);
    assert_eq!(wanted().await.as_deref(), Some("quiet"));
    let (_, table, _) = run(&app, &["workers", "list"]).await;
    assert!(
        table.contains("quiet") && table.contains("elsewhere"),
        "{table}"
    );
    assert_eq!(run(&app, &["workers", "work", &id]).await.0, 0);
    assert_eq!(wanted().await, None);
    assert_eq!(run(&app, &["workers", "drain", &id]).await.0, 65);
    assert_eq!(wanted().await, None, "nobody was there to be asked");
    assert_eq!(run(&app, &["workers", "drain", &id, "--yes"]).await.0, 0);
    assert_eq!(wanted().await.as_deref(), Some("drain"));

    let workers = binary::json(&app, &["workers", "list"]).await;
    assert!(workers[0]["lease_left_seconds"].as_f64().unwrap() > 3_000.0);
    let nobody = uuid::Uuid::nil().to_string();
    let (code, _, stderr) = run(&app, &["workers", "quiet", &nobody]).await;
    assert!(code == 66 && stderr.contains("no such worker"), "{stderr}");
}
