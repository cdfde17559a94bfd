//! What people come for at night, by command; tests/browser has the same by mouse, by keyboard and without scripts.

use std::process::Stdio;
use std::time::Duration;

use jobs::check_health::CheckHealth;
use jobs::enqueue_due_polls::EnqueueDuePolls;
use jobs::poll_sync_status::PollSyncStatus;
use queue::NewJob;
use serde_json::Value;
use store::AccountId;
use tokio::process::Child;

use super::binary::{ENCRYPTION_KEY, json, output, run, syncline};
use crate::support::{SANDBOX_KEY, TestApp};

/// Jobs of the dead group.
const DEAD: i32 = 5_000;

#[tokio::test]
async fn find_why_an_account_is_stale() {
    let app = TestApp::new().await;
    let stale = app.synced_account("org_stale", "hris").await;
    let paused = app.synced_account("org_paused", "crm").await;
    let at_merge = app.merge_account_id(stale).await.parse().unwrap();
    app.merge()
        .handle()
        .set_status(at_merge, "RELINK_NEEDED")
        .unwrap();
    let check = CheckHealth {
        account_id: stale,
        is_told_deleted: false,
    };
    app.enqueue(&check).await;
    app.run_due_jobs().await;

    // The support desk knows the customer's name for itself, and no more.
    let accounts = json(&app, &["accounts", "list", "--organization", "org_stale"]).await;
    let id = find(&accounts, "id", &stale.to_string())["id"].clone();
    let (code, told, stderr) = run(&app, &["accounts", "show", id.as_str().unwrap()]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(
        told.contains("relink_needed")
            && told.contains("The customer has to sign in again at their system"),
        "{told}"
    );

    // Another one, which a colleague has paused.
    let paused = paused.to_string();
    let reason = ["--reason", "their auditor is in"];
    let pause = [&["queues", "pause", "--account", &paused][..], &reason].concat();
    assert_eq!(run(&app, &pause).await.0, 0);
    let (_, told, _) = run(&app, &["accounts", "show", &paused]).await;
    assert!(
        told.contains("by command line") && told.contains("their auditor is in"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_a_dead_group_of_5000() {
    let app = TestApp::new().await;
    // Of many customers, as when Merge itself was away.
    for _ in 0..50 {
        app.dead_jobs(DEAD / 50, "Merge answered 503").await;
    }
    let _worker = worker(&app);

    let (_, told, _) = run(&app, &["status"]).await;
    assert!(told.contains("5,000 jobs are dead"), "{told}");
    let groups = json(&app, &["dead", "list"]).await;
    assert_eq!(groups.as_array().unwrap().len(), 1);
    assert_eq!(groups[0]["jobs"], DEAD);
    let group = groups[0]["fingerprint"].as_str().unwrap();
    let retry = |count: &'static str| {
        let what = ["jobs", "bulk", "retry", "--group", group];
        [&what[..], &["--reason", "Merge is back", "--count", count]].concat()
    };
    // Somebody who expected less is not let through.
    assert_eq!(run(&app, &retry("50")).await.0, 65);
    assert_eq!(json(&app, &retry("5000")).await["jobs"], DEAD);

    // The worker gets to each of them, once.
    until("all have run", async || {
        app.ended_polls().await.0 == i64::from(DEAD)
    })
    .await;
    assert_eq!(
        app.ended_polls().await,
        (i64::from(DEAD), i64::from(DEAD)),
        "each once"
    );
    assert_eq!(json(&app, &["dead", "list"]).await, serde_json::json!([]));
    let (_, audit, _) = run(&app, &["audit", "list"]).await;
    assert!(audit.contains("Merge is back"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_a_queue_and_resume_it() {
    let app = TestApp::new().await;
    let pause = ["queues", "pause", "--queue", "sync"];
    let reason = ["--reason", "Merge asked us to"];
    assert_eq!(run(&app, &[&pause[..], &reason].concat()).await.0, 0);
    let account_id = AccountId::new();
    let job = NewJob::new(&PollSyncStatus { account_id }).unwrap();
    let mut connection = app.pool().acquire().await.unwrap();
    let job = queue::enqueue(&mut *connection, &job).await.unwrap().id;
    drop(connection);
    let _worker = worker(&app);

    // Due, and left alone, while another queue's job runs.
    app.enqueue(&EnqueueDuePolls {}).await;
    until("a job of another queue has run", async || {
        app.pending("enqueue_due_polls").await.is_empty()
    })
    .await;
    let (_, status, _) = run(&app, &["status"]).await;
    assert!(
        status.contains("The queue sync is paused by command line"),
        "{status}"
    );
    let id = job.to_string();
    let (_, told, _) = run(&app, &["jobs", "show", &id]).await;
    assert!(
        told.contains("available")
            && told.contains("Paused: command line")
            && told.contains("Merge asked us to"),
        "{told}"
    );

    let resume = ["queues", "resume", "--queue", "sync"];
    assert_eq!(run(&app, &resume).await.0, 0);
    until("it has run", async || {
        json(&app, &["jobs", "show", &id]).await["job"]["state"] == "cancelled"
    })
    .await;
    assert_eq!(
        json(&app, &["queues", "list"]).await["pauses"],
        serde_json::json!([])
    );
}

/// Who may only look has a role of the database that may only read: docs/operating.md, "On the command line".
#[tokio::test]
async fn a_viewer_cannot_change_anything() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    let account = app.linked_account("org_1", "hris").await.to_string();
    let waiting = app.waiting_job().await.to_string();
    let dead = app.dead_job("of this").await.to_string();
    let delivery = app.judged_delivery().await.to_string();
    let worker = app.silent_worker().await.to_string();
    let group = json(&app, &["dead", "list"]).await[0]["fingerprint"].clone();
    let group = group.as_str().unwrap();
    let viewer = Viewer::of(&app).await;
    let before = (app.audited().await, app.count_jobs().await);

    for look in [
        &["jobs", "list"][..],
        &["jobs", "show", &dead],
        &["dead", "list"],
        &["queues", "list"],
        &["lanes", "list"],
        &["workers", "list"],
        &["schedules", "list"],
        &["webhooks", "list"],
        &["accounts", "list"],
        &["accounts", "show", &account],
        &["audit", "list"],
    ] {
        let (code, stdout, stderr) = viewer.run(look).await;
        assert_eq!(code, 0, "{look:?}: {stderr}");
        // As much as others see; the ages differ.
        let (_, all, _) = run(&app, look).await;
        assert_eq!(stdout.lines().count(), all.lines().count(), "{look:?}");
    }
    for deed in [
        &["jobs", "retry", &dead][..],
        &["jobs", "retry-now", &waiting],
        &["jobs", "snooze", &waiting, "--for", "1h"],
        &["jobs", "cancel", &waiting, "--reason", "r", "--yes"],
        &[
            "jobs", "bulk", "retry", "--group", group, "--reason", "r", "--count", "1",
        ],
        &["dead", "resolve", group, "--reason", "r"],
        &["queues", "pause", "--everything", "--reason", "r"],
        &["workers", "quiet", &worker],
        &["schedules", "run", "maintain", "--reason", "r"],
        &["webhooks", "replay", &delivery],
        &["accounts", "poll", &account],
        &["keys", "create", "--name", "mine", "--scope", "admin"],
    ] {
        let (code, _, stderr) = viewer.run(deed).await;
        assert!(
            code == 65 && stderr.contains("permission denied"),
            "{deed:?}: {code}: {stderr}"
        );
    }

    assert_eq!((app.audited().await, app.count_jobs().await), before);
    viewer.leave(&app).await;
}

/// A role that may only read.
struct Viewer {
    role: String,
    url: String,
}

impl Viewer {
    async fn of(app: &TestApp) -> Self {
        // Roles are the whole server's.
        let role = format!("viewer_{}", uuid::Uuid::new_v4().simple());
        let make =
            format!("CREATE ROLE {role} LOGIN PASSWORD 'looks' BYPASSRLS IN ROLE pg_read_all_data");
        execute(app, make).await;
        let mut url = url::Url::parse(&app.database_url()).unwrap();
        url.set_username(&role).unwrap();
        url.set_password(Some("looks")).unwrap();
        Self {
            role,
            url: url.into(),
        }
    }

    async fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = syncline(args);
        command.env("DATABASE_URL", &self.url);
        output(command).await
    }

    async fn leave(self, app: &TestApp) {
        execute(app, format!("DROP ROLE {}", self.role)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a role's name is no parameter")]
async fn execute(app: &TestApp, statement: String) {
    let statement = sqlx::AssertSqlSafe(statement);
    sqlx::raw_sql(statement).execute(app.pool()).await.unwrap();
}

/// A worker of its own process, ended with the value.
fn worker(app: &TestApp) -> Child {
    let mut command = syncline(&["serve", "--role", "worker"]);
    command
        .env("DATABASE_URL", app.database_url())
        .env("MERGE_API_BASE", app.merge().base_url().to_string())
        .env("MERGE_API_KEY", SANDBOX_KEY)
        .env("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The entry of a list with this.
fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let list = list.as_array().or_else(|| list["accounts"].as_array());
    let mut entries = list.unwrap().iter();
    let found = entries.find(|entry| entry[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value}"))
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(2), waiting).await;
    waited.unwrap_or_else(|_| panic!("not within two minutes: {what}"));
}

impl TestApp {
    /// Polls that ended, and how many different jobs they are.
    async fn ended_polls(&self) -> (i64, i64) {
        let row = sqlx::query!(
            r#"
            SELECT count(*) AS "ended!", count(DISTINCT id) AS "jobs!"
            FROM syncline.job_history
            WHERE kind = 'poll_sync_status'
            "#
        );
        let row = row.fetch_one(self.pool()).await.unwrap();
        (row.ended, row.jobs)
    }
}
