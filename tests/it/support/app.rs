//! The service in process: its own database, its own sandbox, its router, and workers only when asked.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use jobs::JobContext;
use merge_sandbox::{AccountPlan, CompleteLink, Running, Sandbox};
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Registry;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, PgPool, postgres::PgConnectOptions};
use store::AccountId;
use syncline::{
    api,
    app::App,
    config::{Config, Environment, Need, Sources},
    inbox::Inbox,
    webhook_secrets::WebhookSecrets,
};
use test_support::TestDatabase;
use tower::ServiceExt;

use super::{Call, answer::Answer};

/// The bootstrap key.
pub(crate) const API_KEY: &str = "bootstrap-key-of-the-tests";
/// What webhooks are signed with.
pub(crate) const WEBHOOK_SECRET: &str = "webhook-secret-of-the-tests";
/// Records of an account's first sync.
const RECORDS: u32 = 60;
/// What the sandbox takes for the API key.
pub(crate) const SANDBOX_KEY: &str = "sandbox-key-of-the-tests";

/// One for the process, as in production.
static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(syncline::telemetry::recorder);

/// A service of one test's own.
pub(crate) struct TestApp {
    app: App,
    sandbox: Running,
    registry: Arc<Registry<JobContext>>,
    context: Arc<JobContext>,
    router: OnceLock<axum::Router>,
    // Last: everything else is gone when the database is dropped.
    database: TestDatabase,
}

/// An API key to be made; by default it may do all, for every organization, for ever.
pub(crate) struct NewKey<'a> {
    pub(crate) scopes: &'a [&'a str],
    pub(crate) organization_id: Option<&'a str>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) is_revoked: bool,
}

impl Default for NewKey<'_> {
    fn default() -> Self {
        Self {
            scopes: &["admin"],
            organization_id: None,
            expires_at: None,
            is_revoked: false,
        }
    }
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with_settings(&[]).await
    }

    pub(crate) async fn with_webhook_secrets(secrets: &[&str]) -> Self {
        Self::with_settings(&[("MERGE_WEBHOOK_SECRET", &secrets.join(","))]).await
    }

    /// With these environment variables beside, or instead of, the usual ones.
    pub(crate) async fn with_settings(variables: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        let options = merge_sandbox::Options {
            api_key: SANDBOX_KEY.to_owned(),
            requests_per_minute: None,
            plan: AccountPlan {
                records_per_account: RECORDS,
                ..AccountPlan::default()
            },
            schedule: merge_sandbox::Schedule {
                initial_sync_duration: Duration::from_millis(1),
                sync_interval: None,
                ..merge_sandbox::Schedule::default()
            },
            ..merge_sandbox::Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let config = config(&database.url(), sandbox.base_url().as_str(), variables);
        let app = App::new(config, database.pool().clone(), METRICS.clone()).unwrap();
        // Opens its connection now. Cut off in the middle of that, by the end of a test, the server would wait for it.
        app.queue.wake();
        run_inbox(&app);
        app.inbox.settled().await;
        let context = Arc::new(app.job_context());
        Self {
            app,
            sandbox,
            registry: Arc::new(jobs::registry()),
            context,
            router: OnceLock::new(),
            database,
        }
    }

    /// The parts of the service.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Where its database is, for commands.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// What this process has measured and not yet stored.
    pub(crate) fn tally(&self) -> &queue::rollups::Tally {
        self.app.queue.tally()
    }

    /// Makes a request in process, through every layer of the router.
    pub(crate) async fn call(&self, call: Call) -> Answer {
        let answer = self.call_only(call).await;
        self.app.inbox.settled().await;
        answer
    }

    /// The same, without waiting until what it left to do is enqueued.
    pub(crate) async fn call_only(&self, call: Call) -> Answer {
        let router = self.router();
        let Ok(response) = router.oneshot(call.into_request()).await;
        Answer::read(response).await
    }

    /// The sandbox in Merge's place.
    pub(crate) fn merge(&self) -> &Running {
        &self.sandbox
    }

    /// Does something beside the test.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.app.requests.spawn(work);
    }

    /// The router itself, one for all requests, as the service has it.
    pub(crate) fn router(&self) -> axum::Router {
        let made = self.router.get_or_init(|| api::router(self.app.clone()));
        made.clone()
    }

    /// Makes a request to a process that has some addresses only.
    pub(crate) async fn call_at(&self, surfaces: api::Surfaces, call: Call) -> Answer {
        let router = api::router_of(self.app.clone(), surfaces);
        let Ok(response) = router.oneshot(call.into_request()).await;
        Answer::read(response).await
    }

    /// The same, for an answer that does not end: its body as it comes.
    pub(crate) async fn stream(&self, call: Call) -> axum::body::BodyDataStream {
        let router = self.router();
        let Ok(response) = router.oneshot(call.into_request()).await;
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    /// Where webhooks are handed in.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.app.inbox
    }

    /// What webhooks are signed with.
    pub(crate) fn webhook_secrets(&self) -> &WebhookSecrets {
        &self.app.webhook_secrets
    }

    /// Starts the service once more, as in another process; when it has looked around.
    pub(crate) async fn start_another(&self) {
        let config = (*self.app.config).clone();
        let another = App::new(config, self.pool().clone(), METRICS.clone()).unwrap();
        run_inbox(&another);
        another.inbox.settled().await;
    }

    pub(crate) async fn post(&self, path: &str, body: impl Borrow<Value>) -> Answer {
        self.call(Call::post(path).json(body.borrow())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Call::new(http::Method::GET, path)).await
    }

    /// Enqueues a job.
    pub(crate) async fn enqueue<J: queue::Job>(&self, job: &J) {
        let mut connection = self.pool().acquire().await.unwrap();
        let job = queue::NewJob::new(job).unwrap();
        queue::enqueue(&mut *connection, &job).await.unwrap();
    }

    /// Runs every job that is due, and what those enqueue.
    pub(crate) async fn run_due_jobs(&self) {
        queue::testing::run_due(self.pool(), &self.registry, &self.context)
            .await
            .unwrap();
        // What a running worker would do by itself: those who wait look again.
        self.app.queue.wake();
    }

    /// Runs due jobs again and again until the future ends: for requests that wait for their job. What runs
    /// then comes to its end, too: cut off, it would look like the job of a worker that died.
    pub(crate) async fn while_working<T>(&self, future: impl Future<Output = T>) -> T {
        let has_ended = AtomicBool::new(false);
        let asking = async {
            let answer = future.await;
            has_ended.store(true, Ordering::Relaxed);
            answer
        };
        let working = async {
            while !has_ended.load(Ordering::Relaxed) {
                self.run_due_jobs().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::join!(asking, working).0
    }

    /// Does in the sandbox what an end user does in the dialog; gives the public token.
    pub(crate) fn finish_linking(&self, link_token: &str) -> String {
        self.sandbox
            .complete_link(link_token, &CompleteLink::default())
            .unwrap()
            .public_token
    }

    /// An account that was linked through the API; what linking enqueued has run.
    pub(crate) async fn linked_account(&self, organization_id: &str, category: &str) -> AccountId {
        let body = json!({
            "organization_id": organization_id, "category": category,
            "end_user_organization_name": "Customer", "end_user_email_address": "it@customer.example",
        });
        let link = self
            .while_working(self.post("/api/merge/create-link-token", &body))
            .await;
        link.expect(200);
        let public_token = self.finish_linking(&link.text("link_token"));
        let body = json!({"organization_id": organization_id, "public_token": public_token});
        let exchange = self.post("/api/merge/exchange-public-token", &body);
        let exchange = self.while_working(exchange).await;
        exchange.expect(200);
        self.run_due_jobs().await;
        exchange.text("linked_account_id").parse().unwrap()
    }

    /// An account whose first sync is stored.
    pub(crate) async fn synced_account(&self, organization_id: &str, category: &str) -> AccountId {
        let account = self.linked_account(organization_id, category).await;
        let path = format!("/api/merge/linked-accounts/{account}");
        for _ in 0..200 {
            let shown = self.get(&path).await.expect(200);
            if shown["initial_sync_completed_at"].is_string() {
                return account;
            }
            // The sandbox syncs in real time, the next poll comes in the queue's.
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.advance(Duration::from_hours(1)).await;
            self.run_due_jobs().await;
        }
        panic!("the first sync was never complete");
    }

    /// Lets time pass for the queue.
    pub(crate) async fn advance(&self, time: Duration) {
        queue::testing::advance(self.pool(), time).await.unwrap();
    }

    /// Makes an API key.
    pub(crate) async fn key(&self, new: NewKey<'_>) -> String {
        let key = api::ApiKey::generate();
        let scopes: Vec<String> = new.scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let row = store::api_keys::NewApiKey {
            name: "test",
            prefix: key.prefix(),
            key_hash: key.digest(),
            scopes: &scopes,
            organization_id: new.organization_id,
            expires_at: new.expires_at,
        };
        let mut connection = self.pool().acquire().await.unwrap();
        let id = store::api_keys::create(&mut connection, &row)
            .await
            .unwrap();
        if new.is_revoked {
            store::api_keys::revoke(&mut connection, id).await.unwrap();
        }
        key.expose().to_owned()
    }

    /// Makes an API key that may do so much.
    pub(crate) async fn key_with(&self, scopes: &[&str]) -> String {
        let new = NewKey {
            scopes,
            ..NewKey::default()
        };
        self.key(new).await
    }

    /// Cuts every connection to the database, and lets nobody open another.
    pub(crate) async fn cut_off_database(&self) -> CutOff {
        let options: PgConnectOptions = self.database.url().parse().unwrap();
        let name = options.get_database().unwrap().to_owned();
        let connection = options.database("postgres").connect().await.unwrap();
        let mut cut_off = CutOff { connection, name };
        cut_off
            .run("ALTER DATABASE {} ALLOW_CONNECTIONS false")
            .await;
        cut_off
            .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'")
            .await;
        cut_off
    }

    /// Takes the database away from the service.
    pub(crate) async fn database_gone(&self) {
        self.pool().close().await;
    }
}

/// A database that lets nobody in.
pub(crate) struct CutOff {
    connection: PgConnection,
    name: String,
}

impl CutOff {
    /// Lets others in again.
    pub(crate) async fn end(mut self) {
        self.run("ALTER DATABASE {} ALLOW_CONNECTIONS true").await;
    }

    /// Runs a statement with the database's name in it.
    #[expect(
        clippy::disallowed_methods,
        reason = "databases' names are made at run time"
    )]
    async fn run(&mut self, statement: &str) {
        let statement = statement.replace("{}", &self.name);
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut self.connection)
            .await
            .unwrap();
    }
}

/// Writes what is handed in, until the test ends.
fn run_inbox(app: &App) {
    let (pool, queue, inbox) = (app.pool.clone(), app.queue.clone(), app.inbox.clone());
    app.requests
        .spawn(async move { inbox.run(pool, queue).await });
}

fn config(database_url: &str, merge_url: &str, variables: &[(&str, &str)]) -> Config {
    let mut all = BTreeMap::from(usual(database_url, merge_url));
    all.extend(variables.iter().copied());
    let environment = Environment::of(all);
    let sources = Sources {
        environment,
        ..Sources::default()
    };
    Config::load(&sources, Need::Service).unwrap()
}

/// What the service finds in its environment, in process or as a process of its own.
pub(crate) fn usual<'a>(database_url: &'a str, merge_url: &'a str) -> [(&'static str, &'a str); 6] {
    [
        ("DATABASE_URL", database_url),
        ("MERGE_API_BASE", merge_url),
        ("MERGE_API_KEY", SANDBOX_KEY),
        ("MERGE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("SYNCLINE_API_KEY", API_KEY),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "c3luY2xpbmUtdGVzdC1lbmNyeXB0aW9uLWtleS0zMmI=",
        ),
    ]
}
