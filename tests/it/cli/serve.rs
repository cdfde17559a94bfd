//! A whole life of `serve` as a process of its own: start, link, sync, stop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use merge_sandbox::{AccountPlan, CompleteLink, Options, Running, Sandbox, WebhookTarget};
use queue::rollups::{Measure, Window};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::TestDatabase;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::binary::{ENCRYPTION_KEY, syncline};

pub(crate) const API_KEY: &str = "canary-bootstrap-key";
pub(crate) const MERGE_KEY: &str = "canary-merge-api-key";
pub(crate) const WEBHOOK_SECRET: &str = "canary-webhook-secret";

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `serve`, its log, and a client of its API.
pub(crate) struct Serve {
    child: Child,
    pub(crate) api: String,
    pub(crate) http: reqwest::Client,
    log: PathBuf,
    _folder: TempDir,
}

impl Serve {
    /// Starts all roles on a free port, with everything logged that can be.
    async fn start(database: &TestDatabase, sandbox: &Running) -> Self {
        Self::start_with(database, sandbox, &[]).await
    }

    /// The same with these variables beside, or instead of, the usual ones.
    pub(crate) async fn start_with(
        database: &TestDatabase,
        sandbox: &Running,
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let address = free_address();
        let child = syncline(&["serve", "--listen", &address])
            .env("DATABASE_URL", database.url())
            .env("MERGE_API_BASE", sandbox.base_url().as_str())
            .env("MERGE_API_KEY", MERGE_KEY)
            .env("MERGE_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("SYNCLINE_API_KEY", API_KEY)
            .env("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY)
            .env("SYNCLINE__TELEMETRY__LOG_FORMAT", "json")
            .env("SYNCLINE__TELEMETRY__FILTER", "trace")
            .envs(variables.iter().copied())
            .stderr(Stdio::from(File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let serve = Self {
            child,
            api: format!("http://{address}"),
            http,
            log,
            _folder: folder,
        };
        serve
            .until("ready", || async {
                serve.get("/health/ready").await.is_some()
            })
            .await;
        serve
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let request = self
            .http
            .request(Method::GET, format!("{}{path}", self.api));
        let answer = request.bearer_auth(API_KEY).send().await.ok()?;
        if answer.status().is_success() {
            answer.json().await.ok()
        } else {
            None
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let request = self
            .http
            .request(Method::POST, format!("{}{path}", self.api));
        let answer = request
            .bearer_auth(API_KEY)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {answer:?}\n{}",
            self.text()
        );
        answer.json().await.unwrap()
    }

    /// Waits until a condition holds.
    pub(crate) async fn until<F: Future<Output = bool>>(
        &self,
        what: &str,
        mut holds: impl FnMut() -> F,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(
                Instant::now() < deadline,
                "not {what} in time\n{}",
                self.text()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap()
    }

    /// The log, as it stands.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// The log's last part, for failures.
    pub(crate) fn text(&self) -> String {
        let log = read(&self.log);
        log.lines()
            .rev()
            .filter(|line| !line.contains("TRACE"))
            .take(40)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[tokio::test]
async fn links_syncs_and_stops_without_a_secret_in_its_log() {
    let database = TestDatabase::new().await;
    let sandbox = Sandbox::start(Options {
        api_key: MERGE_KEY.to_owned(),
        plan: AccountPlan {
            records_per_account: 40,
            ..AccountPlan::default()
        },
        ..Options::default()
    })
    .await
    .unwrap();
    let mut serve = Serve::start(&database, &sandbox).await;
    sandbox.set_webhook_target(Some(WebhookTarget {
        url: format!("{}/api/webhooks/merge", serve.api).parse().unwrap(),
        key: WEBHOOK_SECRET.to_owned(),
    }));

    let wanted = json!({
        "organization_id": "org_1", "category": "hris",
        "end_user_organization_name": "Harbor", "end_user_email_address": "it@harbor.example",
    });
    let link = serve.post("/api/merge/create-link-token", wanted).await;
    let link_token = link["link_token"].as_str().unwrap().to_owned();
    let completed = sandbox
        .complete_link(&link_token, &CompleteLink::default())
        .unwrap();
    let exchange = json!({ "organization_id": "org_1", "public_token": completed.public_token });
    serve
        .post("/api/merge/exchange-public-token", exchange)
        .await;
    let account = format!(
        "/api/merge/linked-accounts/{}",
        link["linked_account_id"].as_str().unwrap()
    );
    serve
        .until("synced", || async {
            let account = serve.get(&account).await.unwrap_or_default();
            !account["initial_sync_completed_at"].is_null()
        })
        .await;
    let metrics = serve
        .http
        .request(Method::GET, format!("{}/metrics", serve.api))
        .send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    let status = serve.terminate().await;

    let log = read(&serve.log);
    assert_eq!(status.code(), Some(0), "{}", serve.text());
    assert_all_was_measured(&database).await;
    assert!(log.contains(r#""message":"stopped""#), "{}", serve.text());
    assert!(
        metrics.contains("# HELP syncline_jobs_finished_total "),
        "{metrics}"
    );
    for secret in [
        API_KEY,
        MERGE_KEY,
        WEBHOOK_SECRET,
        ENCRYPTION_KEY,
        &link_token,
        &completed.public_token,
    ] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{secret} in the log or the metrics"
        );
    }
    // The sandbox's account tokens begin so; no field of ours is that long.
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = log.split(|c| !is_word(c));
    assert_eq!(
        words.find(|word| word.starts_with("at_") && word.len() > 16),
        None
    );
}

/// Whatever completed is in the rollups, up to the very end.
async fn assert_all_was_measured(database: &TestDatabase) {
    let pool = database.pool();
    let completed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM syncline.job_history WHERE state = 'completed'"#
    );
    let completed = completed.fetch_one(pool).await.unwrap();
    let rollup = queue::rollups::read(pool, Window::Day, false)
        .await
        .unwrap();
    let measured = rollup.of_all(Measure::Completed).unwrap();
    assert_eq!(i64::try_from(measured.total.count()).unwrap(), completed);
    assert!(completed > 0);
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
}

/// An address that was free a moment ago.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
