//! Secrets put wherever somebody could leave one, and looked for wherever something is shown.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode, Uri};
use merge_client::webhook::{HEADER, sign};
use serde_json::json;
use tokio::net::TcpListener;

use crate::cli::binary;
use crate::support::visitor::browse;
use crate::support::{Call, Logs, TestApp, WEBHOOK_SECRET};

/// Stands between the service and the sandbox, remembers every secret that is sent, and in the end quotes them.
#[derive(Clone, Default)]
struct Echo {
    sandbox: Arc<OnceLock<String>>,
    secrets: Arc<Mutex<BTreeSet<String>>>,
    quotes: Arc<OnceLock<()>>,
}

impl Echo {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let echo = self.clone();
        let answer = move |method, uri, headers, body| async move {
            echo.answer(method, uri, headers, body).await
        };
        let router = axum::Router::new().fallback(answer);
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        base
    }

    async fn answer(&self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let text = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let account_token = text("x-account-token");
        let api_key = text("authorization").map(|value| value.replace("Bearer ", ""));
        let public_token = uri
            .path()
            .split("/account-token/")
            .nth(1)
            .map(str::to_owned);
        let sent = [&account_token, &api_key, &public_token];
        let sent = sent.into_iter().flatten().cloned();
        self.secrets.lock().unwrap().extend(sent);
        if self.quotes.get().is_some() {
            let quoted = format!("you sent {headers:?} to {uri}");
            let id = account_token.unwrap_or_default();
            let body = json!({ "detail": quoted }).to_string();
            let headers = [
                ("x-request-id", id),
                ("content-type", "application/json".to_owned()),
            ];
            return (StatusCode::BAD_REQUEST, headers, body).into_response();
        }
        let target = format!("{}{uri}", self.sandbox.get().unwrap().trim_end_matches('/'));
        let mut request = reqwest::Client::builder()
            .build()
            .unwrap()
            .request(method, target)
            .body(body);
        for name in ["authorization", "x-account-token", "content-type"] {
            if let Some(value) = text(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        (status, [("content-type", "application/json")], body).into_response()
    }
}

/// Every page and every address that only shows something, with ids of things there are.
fn addresses(app: &TestApp, ids: &[(&str, String)]) -> Vec<String> {
    let routes = app.routes().into_iter().map(|route| {
        let known = ids.iter().find(|(prefix, _)| route.contains(prefix));
        let mut path = String::new();
        for (index, part) in route.split(['{', '}']).enumerate() {
            match (index % 2, known) {
                (0, _) => path.push_str(part),
                (_, Some((_, id))) => path.push_str(id),
                (_, None) => path.push_str("hris.Employee"),
            }
        }
        path
    });
    routes.filter(|path| !path.ends_with("/live")).collect()
}

#[tokio::test]
async fn no_secret_is_on_a_page_in_an_answer_in_the_news_or_in_the_log() {
    let logs = Logs::capture();
    let echo = Echo::default();
    let app = TestApp::with_settings(&[("MERGE_API_BASE", &echo.start().await)]).await;
    let sandbox = app.merge().base_url().as_str().to_owned();
    echo.sandbox.set(sandbox).unwrap();
    let account = app.synced_account("org_1", "hris").await;
    echo.quotes.set(()).unwrap();
    let secrets: Vec<String> = echo.secrets.lock().unwrap().iter().cloned().collect();
    assert_eq!(
        secrets.len(),
        3,
        "our key, the account token, the public token"
    );

    // In the answers of Merge that jobs fail of, in a webhook, in a forged one, and in a payload.
    let poll = app
        .post(&format!("/api/ops/accounts/{account}/poll"), json!({}))
        .await;
    let job = poll.expect(200)["job_id"].as_str().unwrap().to_owned();
    let body = json!({ "hook": { "event": "LinkedAccount.linked" }, "data": { "account_token": secrets } });
    for (signature, expected) in [
        (sign(WEBHOOK_SECRET, body.to_string().as_bytes()), 200),
        ("forged".to_owned(), 401),
    ] {
        let call = Call::post("/api/webhooks/merge")
            .json(&body)
            .header(HEADER, &signature);
        app.call(call.header("x-account-token", &secrets[0]))
            .await
            .expect(expected);
    }
    let waiting = app.waiting_job().await;
    let payload = json!({ "account_token": secrets[0], "all": [{ "api_key": secrets }] });
    sqlx::query!(
        "UPDATE syncline.jobs SET payload = $2 WHERE id = $1",
        waiting.0,
        payload
    )
    .execute(app.pool())
    .await
    .unwrap();
    app.run_due_jobs().await;
    app.advance(Duration::from_mins(30)).await;
    app.run_due_jobs().await;

    let delivery = sqlx::query_scalar!("SELECT id FROM syncline.webhook_deliveries LIMIT 1");
    let delivery = delivery.fetch_one(app.pool()).await.unwrap().to_string();
    let account = account.to_string();
    let visitor = app.visitor(&["admin"]).await;
    let mut shown = 0;
    for (job, nothing) in [(job, "nothing"), (waiting.to_string(), "nothing")] {
        let ids = [
            ("/jobs/", job),
            ("/accounts/", account.clone()),
            ("/linked-accounts/", account.clone()),
            ("/webhooks/", delivery.clone()),
            ("/dead/", nothing.to_owned()),
        ];
        for address in addresses(&app, &ids) {
            let address = format!("{address}?organization_id=org_1&linked_account_id={account}");
            let call = if address.starts_with("/console") {
                browse(Method::GET, &address).header("cookie", &visitor.cookie)
            } else {
                Call::new(Method::GET, &address)
            };
            let answer = app.call(call).await;
            shown += usize::from(answer.status == 200);
            let text = String::from_utf8_lossy(&answer.body);
            for secret in &secrets {
                assert!(!text.contains(secret), "{address}: {text}");
                let in_header = answer.headers.values().any(|value| value == secret);
                assert!(!in_header, "{address}");
            }
        }
        let (code, told, _) = binary::run(&app, &["jobs", "show", &ids[0].1]).await;
        assert_eq!(code, 0, "{told}");
        for secret in &secrets {
            assert!(!told.contains(secret), "{told}");
        }
    }
    assert!(shown > 60, "{shown}");
    let live = browse(Method::GET, "/console/live").header("cookie", &visitor.cookie);
    let first = app.stream(live).await.next().await.unwrap().unwrap();
    for secret in &secrets {
        assert!(!String::from_utf8_lossy(&first).contains(secret));
        logs.assert_without(secret);
    }
    // All of that was there to be seen.
    let failed = app
        .get(&format!(
            "/api/ops/jobs?payload=account_id%3D{account}&error=you%20sent"
        ))
        .await
        .expect(200);
    assert!(!failed["jobs"].as_array().unwrap().is_empty(), "{failed}");
    assert!(logs.text().contains("you sent"), "{}", logs.text());
}
