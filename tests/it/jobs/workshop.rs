//! The jobs without the HTTP side: a database, a sandbox whose clock stands still, and a queue that runs when told.

mod checks;
mod crashes;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use event_sender::EventSender;
use jobs::create_pending::{CreatePending, LinkRequest};
use jobs::exchange_token::{ExchangeToken, seal_public_token};
use jobs::process_deliveries::ProcessDeliveries;
use jobs::reply::ReplyKey;
use jobs::{Breakers, JobContext, SyncSettings};
use merge_client::MergeClient;
use merge_sandbox::{
    AccountPlan, ClockMode, CompleteLink, CompletedLink, Fault, FaultKind, LinkAccount, Options,
    Running, Sandbox, Schedule,
};
use queue::{Job, JobId, JobState, JobView, NewJob, Registry};
use secrecy::ExposeSecret;
use serde_json::Value;
use sqlx::PgPool;
use store::linked_accounts::{self, Linked, LinkedAccount};
use store::model_syncs::{self, ModelSync};
use store::webhook_deliveries::{self, DeliveryView, NewDelivery};
use store::{AccountId, DeliveryId, Keyring, sealed_link_tokens};
use test_support::TestDatabase;

pub(super) const API_KEY: &str = "sandbox-key-of-the-job-tests";
/// Records a page, so that few records make several pages.
pub(super) const PAGE_SIZE: u16 = 10;
/// Longer than any sync of the sandbox takes.
pub(super) const SYNC: Duration = Duration::from_secs(10);
/// Long enough for one more sync to start and end: the first interval is up to a fifth longer than the others.
pub(super) const NEXT_SYNC: Duration = Duration::from_secs(390);
/// From the start of one sync of the sandbox to that of the next.
const SYNC_INTERVAL: Duration = Duration::from_mins(5);

/// Jobs, queue and sandbox of one test's own.
pub(super) struct Workshop {
    pub(super) sandbox: Running,
    pub(super) context: Arc<JobContext>,
    registry: Arc<Registry<JobContext>>,
    // Last: everything else is gone when the database is dropped.
    database: TestDatabase,
}

/// An account that is linked.
pub(super) struct Account {
    /// Ours.
    pub(super) id: AccountId,
    /// Merge's.
    pub(super) merge_id: uuid::Uuid,
}

impl Workshop {
    pub(super) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A workshop with other settings.
    pub(super) async fn with(adapt: impl FnOnce(&mut Options, &mut SyncSettings)) -> Self {
        let database = TestDatabase::new().await;
        let mut settings = SyncSettings {
            page_size: PAGE_SIZE,
            ..SyncSettings::default()
        };
        let mut options = Options {
            api_key: API_KEY.to_owned(),
            clock: ClockMode::Manual(DateTime::from_timestamp(1_770_000_000, 123_456_000).unwrap()),
            requests_per_minute: None,
            schedule: Schedule {
                sync_interval: Some(SYNC_INTERVAL),
                ..Schedule::default()
            },
            plan: plan(&[("hris.Employee", 45), ("hris.Team", 5)]),
            ..Options::default()
        };
        adapt(&mut options, &mut settings);
        let sandbox = Sandbox::start(options).await.unwrap();
        let merge = merge_client::Settings {
            observer: Some(jobs::note_exchange),
            ..merge_client::Settings::new(sandbox.base_url().clone(), API_KEY.to_owned().into())
        };
        let context = JobContext {
            pool: database.pool().clone(),
            merge: MergeClient::new(merge).unwrap(),
            keyring: Arc::new(Keyring::random()),
            queue: queue::Client::new(database.pool().clone()),
            breakers: Breakers::default(),
            sender: EventSender::new(event_sender::Settings {
                allow_plain_http: true,
                allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
                ..event_sender::Settings::default()
            })
            .unwrap(),
            give_up_after: Duration::from_hours(5 * 24),
            settings,
        };
        Self {
            sandbox,
            context: Arc::new(context),
            registry: Arc::new(jobs::registry()),
            database,
        }
    }

    pub(super) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Enqueues a job.
    pub(super) async fn enqueue<J: Job>(&self, job: &J) -> JobId {
        let mut conn = self.pool().acquire().await.unwrap();
        let job = NewJob::new(job).unwrap();
        queue::enqueue(&mut *conn, &job).await.unwrap().id
    }

    /// Runs what is due, and what that enqueues.
    pub(super) async fn run(&self) {
        queue::testing::run_due(self.pool(), &self.registry, &self.context)
            .await
            .unwrap();
    }

    /// Enqueues a job and runs what is due.
    pub(super) async fn perform<J: Job>(&self, job: &J) -> JobView {
        let id = self.enqueue(job).await;
        self.run().await;
        self.job(id).await
    }

    pub(super) async fn job(&self, id: JobId) -> JobView {
        queue::Client::new(self.pool().clone())
            .get(id)
            .await
            .unwrap()
            .unwrap()
    }

    /// The payloads of the jobs of this kind that have not ended.
    pub(super) async fn pending(&self, kind: &str) -> Vec<Value> {
        let pending = queue::testing::pending(self.pool(), kind).await.unwrap();
        pending.into_iter().map(|(_, payload)| payload).collect()
    }

    /// Lets time pass for the queue, for polls and endpoints that wait; the sandbox has its own clock.
    pub(super) async fn advance(&self, time: Duration) {
        queue::testing::advance(self.pool(), time).await.unwrap();
        sqlx::query!(
            "UPDATE syncline.linked_accounts SET next_poll_at = next_poll_at - make_interval(secs => $1)",
            time.as_secs_f64()
        )
        .execute(self.pool())
        .await
        .unwrap();
        sqlx::query!(
            r#"
            UPDATE syncline.webhook_endpoints
            SET failing_since = failing_since - make_interval(secs => $1),
                retry_at = retry_at - make_interval(secs => $1)
            "#,
            time.as_secs_f64()
        )
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// Begins linking; gives the job and the link token.
    pub(super) async fn begin_link(
        &self,
        organization_id: &str,
        category: &str,
    ) -> (JobView, String) {
        let (key, reply_key) = ReplyKey::generate();
        let job = self
            .perform(
                &self
                    .prepare(link_request(organization_id, category), reply_key)
                    .await,
            )
            .await;
        assert_eq!(job.state, JobState::Completed, "{job:?}");
        let token = self.read_link_token(&job, &key).await;
        (job, token)
    }

    /// Makes the pending account of a link, and the job that gets its token.
    pub(super) async fn prepare(
        &self,
        request: LinkRequest<'_>,
        reply_key: String,
    ) -> CreatePending {
        let mut conn = self.pool().acquire().await.unwrap();
        let connections = self.context.settings.connections;
        let job = CreatePending::prepare(&mut conn, request, connections, reply_key).await;
        job.unwrap().expect("no other connection is in the way")
    }

    /// Reads the sealed link token of a job, as the waiting request does.
    pub(super) async fn read_link_token(&self, job: &JobView, key: &ReplyKey) -> String {
        let mut conn = self.pool().acquire().await.unwrap();
        let sealed = sealed_link_tokens::take(&mut conn, job.id.0)
            .await
            .unwrap()
            .unwrap();
        key.open(job.id, &sealed)
            .unwrap()
            .expose_secret()
            .to_owned()
    }

    /// Does in the sandbox what an end user does in the dialog.
    pub(super) fn finish_link(&self, link_token: &str) -> CompletedLink {
        self.sandbox
            .complete_link(link_token, &CompleteLink::default())
            .unwrap()
    }

    /// Exchanges a public token in the name of an organization.
    pub(super) async fn exchange(&self, organization_id: &str, public_token: &str) -> JobView {
        let sealed = seal_public_token(
            &self.context.keyring,
            organization_id,
            &public_token.to_owned().into(),
        )
        .unwrap();
        self.perform(&ExchangeToken {
            organization_id: organization_id.to_owned(),
            public_token_sealed: sealed,
        })
        .await
    }

    /// A linked account in Merge's first sync; what linking enqueued has run.
    pub(super) async fn linked(&self, organization_id: &str) -> Account {
        let (job, link_token) = self.begin_link(organization_id, "hris").await;
        let completed = self.finish_link(&link_token);
        let exchanged = self
            .exchange(organization_id, &completed.public_token)
            .await;
        assert_eq!(exchanged.state, JobState::Completed, "{exchanged:?}");
        let id = job.result.unwrap()["linked_account_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        Account {
            id,
            merge_id: completed.linked_account_id,
        }
    }

    /// A linked account in Merge's first sync, and its token: without dialog and jobs, and not polled yet.
    pub(super) async fn linked_at_once(
        &self,
        organization_id: &str,
        category: &str,
        plan: AccountPlan,
    ) -> (Account, String) {
        let request = link_request(organization_id, category);
        let id = self.prepare(request, String::new()).await.account_id;
        let at_merge = self
            .sandbox
            .link_account(&LinkAccount {
                category: category.to_owned(),
                end_user_origin_id: self.account(id).await.end_user_origin_id,
                integration: None,
                plan: Some(plan),
            })
            .unwrap();
        let linked = Linked {
            merge_account_id: Some(&at_merge.id.to_string()),
            merge_status: None,
            integration_name: None,
            integration_slug: None,
            account_token: &at_merge.account_token.clone().into(),
        };
        let mut conn = self.pool().acquire().await.unwrap();
        linked_accounts::link(&mut conn, &self.context.keyring, id, &linked)
            .await
            .unwrap();
        let account = Account {
            id,
            merge_id: at_merge.id,
        };
        (account, at_merge.account_token)
    }

    /// A linked account whose first sync is stored.
    pub(super) async fn synced(&self, organization_id: &str) -> Account {
        let account = self.linked(organization_id).await;
        self.sandbox.advance(SYNC);
        self.poll(&account).await;
        assert!(
            self.account(account.id)
                .await
                .initial_sync_completed_at
                .is_some()
        );
        account
    }

    /// Polls an account and fetches what is due.
    pub(super) async fn poll(&self, account: &Account) -> JobView {
        self.perform(&jobs::poll_sync_status::PollSyncStatus {
            account_id: account.id,
        })
        .await
    }

    /// The account token, as Merge knows it.
    pub(super) async fn account_token(&self, account: &Account) -> String {
        let mut conn = self.pool().acquire().await.unwrap();
        let access = linked_accounts::access(&mut conn, &self.context.keyring, account.id)
            .await
            .unwrap();
        let token = access.unwrap().token.unwrap();
        token.expose_secret().to_owned()
    }

    /// Lets the time pass for which lanes are left alone whose calls failed, and models that were refused.
    pub(super) async fn forget_failures(&mut self) {
        Arc::make_mut(&mut self.context).breakers = Breakers::default();
        sqlx::query!("UPDATE syncline.model_syncs SET refused_at = refused_at - interval '2 days'")
            .execute(self.pool())
            .await
            .unwrap();
    }

    pub(super) async fn account(&self, id: AccountId) -> LinkedAccount {
        let mut conn = self.pool().acquire().await.unwrap();
        linked_accounts::find(&mut conn, id, None)
            .await
            .unwrap()
            .unwrap()
    }

    pub(super) async fn models(&self, id: AccountId) -> Vec<ModelSync> {
        let mut conn = self.pool().acquire().await.unwrap();
        model_syncs::list(&mut conn, id).await.unwrap()
    }

    pub(super) async fn model(&self, id: AccountId, model_id: &str) -> ModelSync {
        let models = self.models(id).await;
        models
            .into_iter()
            .find(|model| model.model_id == model_id)
            .unwrap()
    }

    /// Keeps a webhook in the inbox and enqueues its job, as the HTTP side does.
    pub(super) async fn keep_delivery(&self, body: &[u8]) -> DeliveryId {
        let delivery = NewDelivery::seal(&self.context.keyring, body, "secret").unwrap();
        let (id, shard) = (delivery.id(), delivery.shard());
        let mut conn = self.pool().acquire().await.unwrap();
        webhook_deliveries::insert(&mut conn, vec![delivery])
            .await
            .unwrap();
        drop(conn);
        self.enqueue(&ProcessDeliveries { shard }).await;
        id
    }

    /// A delivery as people see it.
    pub(super) async fn delivery(&self, id: DeliveryId) -> DeliveryView {
        let mut conn = self.pool().acquire().await.unwrap();
        let found = webhook_deliveries::find(&mut conn, id).await.unwrap();
        found.unwrap()
    }

    /// Keeps a webhook and acts on it.
    pub(super) async fn deliver(&self, body: &Value) {
        self.keep_delivery(body.to_string().as_bytes()).await;
        self.run().await;
    }

    /// Verdict and detail of the deliveries, oldest first.
    pub(super) async fn verdicts(&self) -> Vec<(String, String)> {
        let rows = sqlx::query!(
            r#"
            SELECT verdict, coalesce(verdict_detail, '') AS "detail!"
            FROM syncline.webhook_deliveries
            ORDER BY id
            "#
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        rows.into_iter()
            .map(|row| (row.verdict, row.detail))
            .collect()
    }

    /// Lets the next requests to a list fail.
    pub(super) fn break_list(&self, path: &str, times: u32, kind: FaultKind) {
        let path_prefix = format!("/api/hris/v1/{path}");
        self.sandbox.add_fault(Fault {
            path_prefix,
            account_token: None,
            times,
            kind,
        });
    }
}

/// A plan of these models and numbers of records, and no others.
pub(super) fn plan(models: &[(&str, u32)]) -> AccountPlan {
    AccountPlan {
        models: Some(
            models
                .iter()
                .map(|(model, _)| (*model).to_owned())
                .collect(),
        ),
        records: models
            .iter()
            .map(|(model, records)| ((*model).to_owned(), *records))
            .collect(),
        records_per_account: models.iter().map(|(_, records)| records).sum(),
        ..AccountPlan::default()
    }
}

/// A plain link.
pub(super) fn link_request<'a>(organization_id: &'a str, category: &'a str) -> LinkRequest<'a> {
    LinkRequest {
        organization_id,
        category,
        end_user_organization_name: "Customer",
        end_user_email_address: "it@customer.example",
        integration: None,
        user_id: None,
        display_name: None,
    }
}
