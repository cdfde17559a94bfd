//! The whole machine under `kill -9`: a durable Postgres, the sandbox, and `syncline serve` as a process
//! of its own, killed again and again while twenty accounts with twenty thousand records are linked and
//! stored, or while webhooks come in. In the end what is stored equals what is true, and no webhook that was
//! answered 200 is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod linking;
mod receiving;
mod service;

use std::{collections::HashSet, time::Duration};

use merge_sandbox::{
    AccountPlan, Handle, Options, Running, Sandbox, WebhookOptions, WebhookTarget,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use store::linked_accounts::{self, AccountFilter, AccountStatus};
use syncline::cli::demo::truth::{compare, has_caught_up, settle};
use test_support::TestServer;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use self::{linking::link_accounts, service::Service};

const ACCOUNTS: usize = 20;
const RECORDS: u64 = 20_000;
/// The service is killed when so many records are stored.
const KILLS_AT: [u64; 6] = [0, 1, 4_000, 9_000, 14_000, 19_000];
/// How long anything may take before the test gives up; the whole takes about two minutes.
const PATIENCE: Duration = Duration::from_mins(7);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Each of these tests wants the machine for itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A durable Postgres, the sandbox, and the service as a process.
struct Machine {
    service: Service,
    sandbox: Running,
    pool: PgPool,
    server: TestServer,
}

impl Machine {
    /// Starts all of it; each account that is linked gets so many records.
    async fn start(records_per_account: u64) -> Self {
        let server = TestServer::durable().await;
        let pool = PgPool::connect(server.url()).await.unwrap();
        let mut service = Service::new(server.url());
        let options = Options {
            requests_per_minute: None,
            has_error_budget: false,
            plan: AccountPlan {
                records_per_account: u32::try_from(records_per_account).unwrap(),
                ..AccountPlan::default()
            },
            api_key: service.merge_api_key.clone(),
            webhooks: WebhookOptions {
                target: Some(WebhookTarget {
                    url: service.url("/api/webhooks/merge"),
                    key: service.webhook_secret.clone(),
                }),
                ..WebhookOptions::default()
            },
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        service.start(sandbox.base_url().as_str()).await;
        Self {
            service,
            sandbox,
            pool,
            server,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_still_stores_the_truth() {
    let _one = ONE_AT_A_TIME.lock().await;
    let machine = Machine::start(RECORDS / ACCOUNTS as u64).await;
    let Machine {
        mut service,
        sandbox,
        pool,
        server: _server,
    } = machine;

    let linking = link_accounts(service.caller(), sandbox.handle().clone(), ACCOUNTS);
    let killing = async {
        for threshold in KILLS_AT {
            until(&format!("{threshold} records are stored"), || async {
                stored_records(&pool).await >= threshold
            })
            .await;
            service.kill_and_start_again().await;
        }
    };
    let (linked, ()) = tokio::join!(timeout(PATIENCE, linking), killing);
    linked.expect("linking ends");

    stand_still(&pool, sandbox.handle()).await;
    let comparison = compare(&pool, sandbox.handle()).await.unwrap();
    assert!(comparison.is_equal(), "{comparison:#?}\n{}", service.log());
    assert_eq!(linked_organizations(&pool).await, ACCOUNTS);
    assert!(comparison.records >= RECORDS, "{comparison:?}");
    assert_webhooks_kept(&pool, sandbox.handle()).await;
    assert_eq!(service.terminate().await, Some(0), "{}", service.log());
}

/// Stops changes at the sandbox, lets every account sync once more, and waits until that is stored, too.
async fn stand_still(pool: &PgPool, sandbox: &Handle) {
    timeout(PATIENCE, settle(sandbox))
        .await
        .expect("the sandbox comes to rest");
    until("what is stored is true", || async {
        has_caught_up(pool, sandbox).await.unwrap()
            && compare(pool, sandbox).await.unwrap().is_equal()
    })
    .await;
}

/// Every body that the service answered with 200 is in the inbox.
async fn assert_webhooks_kept(pool: &PgPool, sandbox: &Handle) {
    let kept = sqlx::query_scalar!("SELECT body_hash FROM syncline.webhook_deliveries");
    let kept: HashSet<Vec<u8>> = kept.fetch_all(pool).await.unwrap().into_iter().collect();
    let deliveries = sandbox.deliveries(0, usize::MAX);
    let is_acknowledged = |attempts: &[merge_sandbox::AttemptView]| {
        attempts.iter().any(|attempt| attempt.status == Some(200))
    };
    let acknowledged: Vec<_> = deliveries
        .iter()
        .filter(|delivery| is_acknowledged(&delivery.attempts))
        .collect();
    assert!(
        acknowledged.len() > ACCOUNTS,
        "{} webhooks were acknowledged",
        acknowledged.len()
    );
    for delivery in acknowledged {
        let hash = Sha256::digest(&delivery.body).to_vec();
        assert!(
            kept.contains(&hash),
            "{} at {} is lost",
            delivery.event,
            delivery.created_at
        );
    }
}

/// Organizations with an account that is linked. One may have two: a customer whose first try was cut off by a
/// kill tries again, and then the first one's webhook comes after all.
async fn linked_organizations(pool: &PgPool) -> usize {
    let mut connection = pool.acquire().await.unwrap();
    let accounts = linked_accounts::list(&mut connection, &AccountFilter::default(), 1_000)
        .await
        .unwrap();
    let linked = accounts
        .into_iter()
        .filter(|account| account.status == AccountStatus::Active);
    let organizations: HashSet<String> = linked.map(|account| account.organization_id).collect();
    organizations.len()
}

async fn stored_records(pool: &PgPool) -> u64 {
    let mut connection = pool.acquire().await.unwrap();
    let accounts = linked_accounts::list(&mut connection, &AccountFilter::default(), 1_000)
        .await
        .unwrap();
    let mut sum = 0;
    for account in accounts {
        let models = store::model_syncs::list(&mut connection, account.id)
            .await
            .unwrap();
        sum += models
            .iter()
            .map(|model| model.records.unsigned_abs())
            .sum::<u64>();
    }
    sum
}

/// Looks again and again until the condition holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(LOOK).await;
    }
}
