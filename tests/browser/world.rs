//! A service in the middle of a night, for looking at: something of everything, and the address of each page.

use queue::admin::{Action, Filter};
use queue::pause::Scope;
use queue::{Client, JobState, Lane, Queue};
use sqlx::PgPool;
use store::AccountId;
use syncline::ops::{Actor, Ops, Role};

use crate::support::TestApp;

/// Pages that need no id.
const PLAIN: [&str; 17] = [
    "",
    "jobs",
    "jobs?state=dead&state=retryable&kind=fetch_model_window&error=503&min_attempt=2",
    "dead",
    "dead?resolved=yes",
    "bulk",
    "queues",
    "queues?window=7d",
    "workers",
    "schedules",
    "webhooks",
    "accounts",
    "accounts?status=pending&organization=nobody",
    "audit",
    "users",
    "keys",
    "search?q=nothing",
];
const DEAD: &str = "01990000-0000-7000-8001-000000000001";
const ENDED: &str = "01990000-0000-7000-8002-000000000001";
const RUNNING: &str = "01990000-0000-7000-8000-000000000001";
const RETRYABLE: &str = "01990000-0000-7000-8000-000000000007";
const DELIVERY: &str = "01990000-0000-7000-8003-000000000008";
const STALE: &str = "01980000-0000-7000-8000-000000000003";

/// What was made.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) account: AccountId,
    pub(crate) dead_job: &'static str,
    /// A group of dead jobs.
    pub(crate) group: String,
    /// Every page, from the console's own address on; that of a dead job first.
    pub(crate) pages: Vec<String>,
}

impl World {
    pub(crate) async fn make() -> Self {
        let app = TestApp::new().await;
        app.known_schedules().await;
        let account = app.synced_account("org_1", "hris").await;
        fill(app.pool()).await;
        queue::counts::repair(app.pool()).await.unwrap();
        let groups = sqlx::query_scalar!(
            "SELECT fingerprint FROM syncline.dead_jobs GROUP BY fingerprint ORDER BY count(*) DESC"
        );
        let groups = groups.fetch_all(app.pool()).await.unwrap();
        let bulks = act(&app, account, &groups).await;
        let mut pages: Vec<String> = [DEAD, ENDED, RUNNING, RETRYABLE]
            .map(|id| format!("jobs/{id}"))
            .to_vec();
        pages.extend([format!("accounts/{account}"), format!("accounts/{STALE}")]);
        pages.extend([
            format!("webhooks/{DELIVERY}"),
            format!("dead/{}", groups[0]),
        ]);
        pages.extend(bulks);
        pages.extend(PLAIN.map(str::to_owned));
        Self {
            app,
            account,
            dead_job: DEAD,
            group: groups[0].clone(),
            pages,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "one script of many statements, of the tests' own"
)]
async fn fill(pool: &PgPool) {
    sqlx::raw_sql(include_str!("world.sql"))
        .execute(pool)
        .await
        .unwrap();
}

/// What people did, so that it stands in the audit log; the pages of the bulk actions among it.
async fn act(app: &TestApp, account: AccountId, groups: &[String]) -> Vec<String> {
    let actor = |name: &str, role| Actor {
        name: name.to_owned(),
        role,
    };
    let ops = |actor| Ops::new(app.pool().clone(), Client::new(app.pool().clone()), actor);
    let (anna, ben) = (
        ops(actor("anna", Role::Admin)),
        ops(actor("ben@fra", Role::Operator)),
    );
    anna.pause(
        &Scope::Lane(Lane::account(account.0)),
        "their auditor is in until noon",
        None,
    )
    .await
    .unwrap();
    ben.pause(
        &Scope::Queue(Queue::OUTBOUND),
        "the product's endpoint is down, see INC-2291",
        None,
    )
    .await
    .unwrap();
    ben.pause_schedule("maintain", "looking at the table sizes", None)
        .await
        .unwrap();
    let reason = "not every ten minutes";
    anna.edit_schedule(
        "enqueue_due_polls",
        Some("0 */15 * * * *".to_owned()),
        None,
        reason,
    )
    .await
    .unwrap();
    ben.resolve_group(&groups[2], "an old client, fixed in 0.9.2")
        .await
        .unwrap();
    let filter = |error: &str| Filter {
        states: vec![JobState::Dead],
        error_text: Some(error.to_owned()),
        ..Filter::default()
    };
    let run = ben
        .prepare_bulk(
            filter("did not end"),
            Action::Retry,
            "the disk is larger now",
        )
        .await
        .unwrap();
    ben.start_bulk(run, None).await.unwrap();
    let waiting = anna
        .prepare_bulk(filter("503"), Action::Delete, "nobody needs them")
        .await
        .unwrap();
    [run, waiting].map(|id| format!("bulk/{id}")).to_vec()
}
