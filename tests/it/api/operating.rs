//! `/api/ops`: what the console shows and does, through the API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use http::Method;
use jobs::poll_sync_status::PollSyncStatus;
use serde_json::{Value, json};
use store::AccountId;
use syncline::ops::{Deed, Role};

use crate::support::{Call, NewKey, TestApp};

/// In the places of a path's parameters, things that are not there.
fn of_nothing(path: &str) -> String {
    path.replace("{id}", "00000000-0000-7000-8000-000000000000")
        .replace("{name}", "maintain")
        .replace("{fingerprint}", "none")
}

/// A key that may do a little less than a deed needs.
async fn key_below(app: &TestApp, deed: Deed) -> String {
    match deed.needs() {
        Role::Viewer => panic!("{deed} has an address, and needs no role"),
        Role::Operator => app.key_with(&["read"]).await,
        Role::Admin => app.key_with(&["operate"]).await,
    }
}

/// What a bulk action is called in a request.
fn bulk_action(deed: Deed) -> &'static str {
    deed.as_str().strip_prefix("bulk.").unwrap_or_default()
}

#[tokio::test]
async fn what_people_can_do_has_a_route_a_description_and_a_form() {
    let app = TestApp::new().await;
    let routes: BTreeSet<_> = app.operations(&["/console"]).await.into_iter().collect();
    let document = app.get("/openapi.json").await.expect(200);

    for deed in Deed::ALL {
        let Some(path) = deed.api_path() else {
            assert!(
                deed.as_str().starts_with("session."),
                "{deed} has no address"
            );
            continue;
        };
        assert!(
            routes.contains(&(Method::POST, path.clone())),
            "no route POST {path}"
        );
        let described = &document["paths"][&path]["post"];
        assert!(described.is_object(), "POST {path} is not described");

        // Who refuses it by its name is who would do it.
        let refusal = match deed {
            Deed::BulkRetry | Deed::BulkRetryNow | Deed::BulkCancel => "`bulk.".to_owned(),
            _ => format!("`{deed}` needs the role"),
        };
        let key = key_below(&app, *deed).await;
        let body = json!({ "filter": {}, "action": bulk_action(*deed), "reason": "r" });
        let call = Call::post(&of_nothing(&path)).key(&key).json(&body);
        let refused = app.call(call).await.expect(403);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(&refusal), "POST {path}: {detail}");

        // Forms about users and keys have their name in a field: `console::roles` sends those.
        let has_its_path = !["users", "keys"].contains(&&*deed.noun());
        if has_its_path {
            let visitor = app.visitor_with(&[("key", &key)]).await;
            let form = of_nothing(path.strip_prefix("/api/ops/").unwrap());
            let fields = [
                ("reason", "r"),
                ("for", "1h"),
                ("priority", "7"),
                ("scope", "everything"),
                ("action", bulk_action(*deed)),
            ];
            let answer = visitor.post(&form, &fields).await;
            assert_eq!(answer.status, 403, "{deed}: no form at /console/{form}");
            let page = answer.page().replace("&#96;", "`");
            assert!(page.contains(deed.as_str()), "{deed}: {page}");
        }
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let app = TestApp::new().await;
    let viewer = app.key_with(&["read"]).await;
    let operations = app.operations(&["/console", "/health", "/metrics"]).await;
    let of_operators = operations
        .iter()
        .filter(|(_, path)| path.starts_with("/api/ops/"));
    let mut deeds = 0;

    for (method, path) in of_operators {
        let call = Call::new(method.clone(), &of_nothing(path)).key(&viewer);
        if *method == Method::GET {
            let status = app.call(call).await.status.as_u16();
            // The search is for nothing, and so is what has an id.
            assert!([200, 404, 422].contains(&status), "GET {path}: {status}");
        } else {
            app.call(call.json(&json!({}))).await.expect(403);
            deeds += 1;
        }
    }

    assert!(deeds > 25, "{deeds}");
    assert_eq!(app.audited().await, []);
}

#[tokio::test]
async fn who_is_bound_or_without_a_scope_is_told_so() {
    let app = TestApp::new().await;
    let bound = NewKey {
        organization_id: Some("org_1"),
        ..NewKey::default()
    };
    let bound = app.key(bound).await;
    let other = app.key_with(&["link", "endpoints"]).await;

    let problem = |key| app.call(Call::new(Method::GET, "/api/ops/status").key(key));

    let refused = problem(&bound).await.expect(403);
    assert_eq!(refused["type"], "urn:syncline:problem:bound-key");
    let refused = problem(&other).await.expect(403);
    assert_eq!(refused["type"], "urn:syncline:problem:missing-scope");
    app.call(Call::new(Method::GET, "/api/ops/status").without("authorization"))
        .await
        .expect(401);
}

/// What there is to act on.
struct World<'a> {
    app: &'a TestApp,
    account: AccountId,
    admin: String,
}

impl World<'_> {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let call = Call::post(path).key(&self.admin).json(body);
        let answer = self.app.call(call).await;
        assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
        answer.json()
    }

    /// Makes what a deed needs; gives where it is done, and what is said.
    async fn case(&self, deed: Deed) -> (String, Value) {
        let (app, because) = (self.app, json!({ "reason": "because" }));
        let path = deed.api_path().unwrap();
        let at = |id: String| path.replace("{id}", &id);
        let account = at(self.account.to_string());
        let schedule = path.replace("{name}", "maintain");
        match deed {
            Deed::JobRetry => (at(app.dead_job("a").await.to_string()), json!({})),
            Deed::JobRetryNow => (at(app.waiting_job().await.to_string()), json!({})),
            Deed::JobSnooze => (
                at(app.waiting_job().await.to_string()),
                json!({ "until": "2199-01-01T00:00:00Z" }),
            ),
            Deed::JobEdit => (
                at(app.waiting_job().await.to_string()),
                json!({ "priority": 7 }),
            ),
            Deed::JobCancel | Deed::JobDelete => (at(app.waiting_job().await.to_string()), because),
            Deed::GroupResolve => (path.replace("{fingerprint}", &self.group().await), because),
            Deed::GroupReopen => {
                let group = self.group().await;
                self.post(&format!("/api/ops/dead/{group}/resolve"), &because)
                    .await;
                (path.replace("{fingerprint}", &group), json!({}))
            }
            Deed::BulkRetry | Deed::BulkRetryNow | Deed::BulkCancel | Deed::BulkDelete => {
                (self.prepared(bulk_action(deed)).await, json!({}))
            }
            Deed::BulkStop => {
                let start = self.prepared("retry").await;
                self.post(&start, &json!({})).await;
                (start.replace("/start", "/stop"), json!({}))
            }
            Deed::Pause => (path, json!({ "queue": "sync", "reason": "because" })),
            Deed::Resume => {
                let pause = json!({ "kind": "resync", "reason": "because" });
                self.post("/api/ops/queues/pause", &pause).await;
                (path, json!({ "kind": "resync" }))
            }
            Deed::WorkerQuiet | Deed::WorkerWork | Deed::WorkerDrain => {
                (at(app.silent_worker().await.to_string()), json!({}))
            }
            Deed::ScheduleRun | Deed::SchedulePause => (schedule, because),
            Deed::ScheduleResume | Deed::ScheduleReset => (schedule, json!({})),
            Deed::ScheduleEdit => (
                schedule,
                json!({ "cron": "5 4 * * *", "reason": "because" }),
            ),
            Deed::WebhookReplay => (at(app.judged_delivery().await.to_string()), json!({})),
            Deed::AccountPoll | Deed::AccountSweep | Deed::AccountResync => (account, json!({})),
            Deed::AccountDelete => (account, json!({ "typed": "Customer", "reason": "because" })),
            Deed::CountsCheck => (path, json!({})),
            Deed::KeyCreate => (path, json!({ "name": "a key", "scopes": ["read"] })),
            Deed::KeyRevoke => {
                let key = json!({ "name": "another", "scopes": ["read"] });
                let made = self.post("/api/ops/keys", &key).await;
                (at(made["id"].as_str().unwrap().to_owned()), json!({}))
            }
            Deed::UserAdd => (
                path,
                json!({ "name": "anna", "role": "viewer", "password": "correct horse battery" }),
            ),
            Deed::UserPassword => (
                path.replace("{name}", "anna"),
                json!({ "password": "another horse battery" }),
            ),
            Deed::UserRemove => (path.replace("{name}", "anna"), json!({})),
            Deed::LogIn | Deed::LogOut => panic!("{deed} has no address"),
        }
    }

    async fn group(&self) -> String {
        let id = self.app.dead_job("of a group").await;
        let job = self
            .app
            .get(&format!("/api/ops/jobs/{id}"))
            .await
            .expect(200);
        job["fingerprint"].as_str().unwrap().to_owned()
    }

    /// Where a bulk action that was prepared is started.
    async fn prepared(&self, action: &str) -> String {
        let body = json!({
            "filter": { "kinds": ["poll_sync_status"] }, "action": action, "reason": "because",
        });
        let prepared = self.post("/api/ops/bulk", &body).await;
        assert_eq!(prepared["state"], "prepared");
        format!("/api/ops/bulk/{}/start", prepared["id"].as_str().unwrap())
    }
}

#[tokio::test]
async fn each_deed_needs_its_role_is_done_and_audited() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    let account = app.linked_account("org_1", "hris").await;
    let admin = app.key_with(&["admin"]).await;
    let world = World {
        app: &app,
        account,
        admin,
    };
    let mut deeds: Vec<Deed> = Deed::ALL.to_vec();
    deeds.retain(|deed| deed.api_path().is_some());
    // Whom it removes somebody has to add before, and needs a password in between.
    deeds.sort_by_key(|deed| *deed == Deed::UserRemove);

    let lesser = [
        (Role::Viewer, app.key_with(&["read"]).await),
        (Role::Operator, app.key_with(&["operate"]).await),
    ];
    for deed in deeds {
        let (path, body) = world.case(deed).await;
        let before = app.audited().await.len();
        for (role, key) in &lesser {
            if *role < deed.needs() {
                let call = Call::post(&path).key(key).json(&body);
                let refused = app.call(call).await;
                assert_eq!(refused.status, 403, "{deed} as {role:?}: {refused:?}");
            }
        }
        assert_eq!(app.audited().await.len(), before, "{deed}");

        let done = world.post(&path, &body).await;

        assert_eq!(done["success"], true, "{deed}");
        let audited = app.audited().await;
        assert_eq!(audited.len(), before + 1, "{deed}");
        let (actor, action) = audited.last().unwrap();
        assert!(actor.starts_with("key test (sl_"), "{actor}");
        assert_eq!(action, deed.as_str());
    }
}

#[tokio::test]
async fn under_a_key_a_deed_is_done_once() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    let run = |body: Value| {
        let call = Call::post("/api/ops/schedules/maintain/run").json(&body);
        app.call(call.header("idempotency-key", "one"))
    };

    let first = run(json!({ "reason": "a" })).await;
    let again = run(json!({ "reason": "a" })).await;
    let other = run(json!({ "reason": "b" })).await;

    assert_eq!(first.expect(200)["job_id"], again.expect(200)["job_id"]);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    other.expect(422);
    assert_eq!(app.pending("maintain").await.len(), 1);
    assert_eq!(app.audited().await.len(), 1);

    // What is gone after it was done is not missed by who asks again.
    let job = app.waiting_job().await;
    for _ in 0..2 {
        let call = Call::post(&format!("/api/ops/jobs/{job}/delete"));
        let call = call
            .json(&json!({ "reason": "a" }))
            .header("idempotency-key", "two");
        app.call(call).await.expect(200);
    }
}

#[tokio::test]
async fn jobs_are_filtered_paged_and_shown_without_secrets() {
    let app = TestApp::new().await;
    app.dead_jobs(3, "it hurts").await;
    app.waiting_job().await;

    let page = app
        .get("/api/ops/jobs?state=dead,retryable&error=HURTS&limit=2")
        .await
        .expect(200);
    assert_eq!(page["jobs"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let path = format!("/api/ops/jobs?state=dead,retryable&error=HURTS&limit=2&cursor={next}");
    let rest = app.get(&path).await.expect(200);
    assert_eq!(rest["jobs"].as_array().unwrap().len(), 1);
    assert_ne!(rest["jobs"][0]["id"], page["jobs"][1]["id"]);
    app.get("/api/ops/jobs?state=gone").await.expect(422);
    app.get("/api/ops/jobs?http_status=7").await.expect(422);

    let id = page["jobs"][0]["id"].as_str().unwrap();
    sqlx::query!(
        "UPDATE syncline.dead_jobs SET payload = $1 WHERE id = $2",
        json!({ "account_id": "a", "api_key": "canary" }),
        id.parse::<uuid::Uuid>().unwrap(),
    )
    .execute(app.pool())
    .await
    .unwrap();
    let shown = app.get(&format!("/api/ops/jobs/{id}")).await.expect(200);
    assert_eq!(shown["job"]["state"], "dead");
    assert!(shown["timeline"].is_array() && !shown.to_string().contains("canary"));

    let found = app
        .get(&format!("/api/ops/search?q={id}"))
        .await
        .expect(200);
    assert_eq!(found["found"], json!({ "what": "job", "id": id }));
    let nothing = app.get("/api/ops/search?q=nothing").await.expect(200);
    assert_eq!(nothing["found"], Value::Null);
}

#[tokio::test]
async fn all_that_the_console_shows_can_be_read() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    app.silent_worker().await;
    let account = app.synced_account("org_1", "hris").await;
    let delivery = app.judged_delivery().await;
    let job = PollSyncStatus {
        account_id: AccountId::new(),
    };
    app.enqueue(&job).await;
    let read = async |path: String| app.get(&path).await.expect(200);

    let status = read("/api/ops/status".to_owned()).await;
    assert!(!status["sentence"].as_str().unwrap().is_empty());
    assert_eq!(
        status["accounts"],
        json!([{ "status": "active", "accounts": 1 }])
    );
    let one = read(format!("/api/ops/accounts/{account}")).await;
    assert_eq!(one["account"]["organization_id"], "org_1");
    assert_eq!(one["models"][0]["proof"]["verdict"], "contiguous");
    let all = read("/api/ops/accounts?status=active".to_owned()).await;
    assert_eq!(all["accounts"].as_array().unwrap().len(), 1);
    let one = read(format!("/api/ops/webhooks/{delivery}")).await;
    assert_eq!(one["verdict"], "ignored");
    let all = read("/api/ops/webhooks?verdict=ignored".to_owned()).await;
    assert_eq!(all["deliveries"].as_array().unwrap().len(), 1);
    for (path, list) in [
        ("queues", "queues"),
        ("lanes", "lanes"),
        ("workers", "workers"),
        ("schedules", "schedules"),
    ] {
        let all = read(format!("/api/ops/{path}")).await;
        assert!(!all[list].as_array().unwrap().is_empty(), "{path}");
    }
    for (path, list) in [
        ("dead", "groups"),
        ("bulk", "bulk_actions"),
        ("audit", "entries"),
    ] {
        let all = read(format!("/api/ops/{path}")).await;
        assert!(all[list].as_array().unwrap().is_empty(), "{path}");
    }
}
