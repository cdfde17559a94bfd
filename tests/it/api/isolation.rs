//! Every route, asked with a key of one organization for what belongs to another.
//!
//! Routes and their methods come from the router itself. What is asked is made up of the ids of the other organization, in
//! every place where a route could take one; and asked once more with the other organization's own key, which shows that it
//! would have been answered. A route for which that never happens fails the test: its requests are missing here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http::Method;
use serde_json::{Value, json};
use store::AccountId;

use crate::support::{Call, NewKey, TestApp};

/// Routes that have no key: those of machines, and those whose key is a signature.
const WITHOUT_KEY: [&str; 8] = [
    // Its visitors act for all organizations; a key that is bound to one is not let in (`tests/it/console/access.rs`).
    "/console",
    "/health/",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/webhooks/",
    "/api/webhooks/",
    "/api/merge/webhook/",
];

/// What an organization has, and its key.
struct Tenant {
    organization: &'static str,
    key: String,
    account: AccountId,
    endpoint: String,
    job: String,
    record: String,
}

impl Tenant {
    async fn make(app: &TestApp, organization: &'static str) -> Self {
        let key = NewKey {
            organization_id: Some(organization),
            ..NewKey::default()
        };
        let key = app.key(key).await;
        let account = app.synced_account(organization, "hris").await;
        let body = json!({ "url": "https://hooks.example/in" });
        let endpoint = app
            .call(
                Call::post("/api/merge/webhook-endpoints")
                    .json(&body)
                    .key(&key),
            )
            .await;
        let endpoint = endpoint.text("id");
        let rotate = Call::post(&format!(
            "/api/merge/webhook-endpoints/{endpoint}/rotate-secret"
        ));
        app.call(rotate.json(&json!({})).key(&key))
            .await
            .expect(200);
        let job = sqlx::query_scalar!(
            "SELECT id FROM syncline.job_history WHERE organization_id = $1 ORDER BY id LIMIT 1",
            organization
        );
        let record = sqlx::query_scalar!(
            r#"
            SELECT merge_id
            FROM syncline.model_records
            WHERE account_id = $1
              AND model_id = 'hris.Employee'
            LIMIT 1
            "#,
            account as AccountId
        );
        Self {
            organization,
            key,
            account,
            endpoint,
            job: job.fetch_one(app.pool()).await.unwrap().to_string(),
            record: record.fetch_one(app.pool()).await.unwrap(),
        }
    }

    /// What must be nowhere in an answer to another.
    fn marks(&self) -> [String; 5] {
        [
            self.organization.to_owned(),
            self.account.to_string(),
            self.endpoint.clone(),
            self.job.clone(),
            self.record.clone(),
        ]
    }

    fn is_named_in(&self, text: &str) -> bool {
        self.marks().iter().any(|mark| text.contains(mark))
    }

    /// Everything that can be asked of a route, about this organization.
    fn requests(&self, method: &Method, route: &str) -> Vec<Request> {
        let Self {
            organization,
            account,
            ..
        } = self;
        let ids = [account.to_string(), self.endpoint.clone(), self.job.clone()];
        let route = route
            .replace("{model_id}", "hris.Employee")
            .replace("{name}", "maintain")
            .replace("{fingerprint}", "none")
            .replace("{category}", "hris");
        let mut paths: Vec<String> = ids.iter().map(|id| route.replace("{id}", id)).collect();
        paths.dedup();
        let bodies = if *method == Method::GET {
            let queries = [
                String::new(),
                "?after=0".to_owned(),
                format!("?organization_id={organization}"),
                format!("?after=0&organization_id={organization}"),
                format!("?linked_account_id={account}&include_deleted=true"),
            ];
            let with = |path: &String| {
                queries
                    .iter()
                    .map(|query| format!("{path}{query}"))
                    .collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(with).collect();
            vec![Value::Null]
        } else {
            vec![
                json!({}),
                json!({ "description": "taken over" }),
                json!({ "linked_account_id": account }),
                json!({ "integration_id": account }),
                json!({ "linked_account_id": account, "sync_type": "FULL" }),
                json!({ "organization_id": organization, "public_token": "p" }),
                json!({
                    "organization_id": organization, "category": "ats",
                    "end_user_organization_name": "T", "end_user_email_address": "t@t.example",
                }),
                json!({ "url": "https://hooks.example/in", "organization_id": organization }),
            ]
        };
        let requests = paths.iter().flat_map(|path| {
            bodies.iter().map(move |body| Request {
                method: method.clone(),
                path: path.clone(),
                body: body.clone(),
            })
        });
        requests.collect()
    }
}

#[derive(Debug, Clone)]
struct Request {
    method: Method,
    path: String,
    body: Value,
}

impl Request {
    fn with_key(&self, key: &str) -> Call {
        let call = Call::new(self.method.clone(), &self.path)
            .key(key)
            .header("prefer", "respond-async");
        if self.body.is_null() {
            call
        } else {
            call.json(&self.body)
        }
    }
}

/// Every route that takes a key, with each of its methods; those that remove things last.
async fn routes(app: &TestApp) -> Vec<(Method, String)> {
    let mut routes = app.operations(&WITHOUT_KEY).await;
    routes.sort_by_key(|(method, _)| *method == Method::DELETE);
    routes
}

/// Whoever operates the service sees all; a key that is bound to an organization is refused there.
fn is_of_operators(route: &str) -> bool {
    route.starts_with("/api/ops/")
}

/// All that an organization has, as one number.
async fn fingerprint(app: &TestApp, organization: &str) -> Vec<Option<String>> {
    sqlx::query_scalar!(
        r#"
        SELECT md5(string_agg(t::text, ',' ORDER BY t::text))
        FROM syncline.linked_accounts AS t
        WHERE organization_id = $1
        UNION ALL
        SELECT md5(string_agg(t::text, ',' ORDER BY t::text))
        FROM syncline.webhook_endpoints AS t
        WHERE organization_id = $1
        UNION ALL
        SELECT count(*)::text
        FROM syncline.jobs
        WHERE organization_id = $1
        "#,
        organization
    )
    .fetch_all(app.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn no_route_shows_or_changes_anything_of_another_organization() {
    let app = TestApp::new().await;
    let own = Tenant::make(&app, "the-asker").await;
    let theirs = Tenant::make(&app, "the-victim").await;
    let routes = routes(&app).await;
    assert!(routes.len() > 20, "{routes:?}");
    let before = fingerprint(&app, theirs.organization).await;

    let mut asked = Vec::new();
    for (method, route) in &routes {
        let requests = theirs.requests(method, route);
        // What is refused before it is looked at need not be asked in every way.
        let ways = if is_of_operators(route) {
            3
        } else {
            requests.len()
        };
        for request in requests.into_iter().take(ways) {
            let answer = app.call(request.with_key(&own.key)).await;
            let (status, text) = (
                answer.status.as_u16(),
                String::from_utf8_lossy(&answer.body),
            );
            assert!(!theirs.is_named_in(&text), "{request:?} shows {text:.300}");
            if is_of_operators(route) {
                assert_eq!(status, 403, "{request:?}: {text}");
                continue;
            }
            assert!(
                status != 403 && status < 500,
                "{request:?}: {status} {text}"
            );
            asked.push((route, request, status));
        }
    }
    assert_eq!(fingerprint(&app, theirs.organization).await, before);

    for (method, route) in &routes {
        if is_of_operators(route) {
            continue;
        }
        let mut is_answered = false;
        for (_, request, status) in asked
            .iter()
            .filter(|(of, request, _)| *of == route && request.method == *method)
        {
            let control = app.call(request.with_key(&theirs.key)).await;
            if !control.status.is_success() {
                continue;
            }
            is_answered = true;
            let is_theirs = theirs.is_named_in(&format!("{request:?}"));
            assert!(
                !is_theirs || *status == 404,
                "{request:?}: {status}, and to its owner {}",
                control.status
            );
        }
        assert!(
            is_answered,
            "{method} {route}: `requests` has none that it answers; add one"
        );
    }
}
