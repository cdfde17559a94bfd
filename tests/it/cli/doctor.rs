//! What is not right is found, and what to do about it is said.

use std::collections::BTreeMap;
use std::time::Duration;

use merge_sandbox::Sandbox;
use serde_json::Value;
use sqlx::PgPool;
use test_support::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::binary::{NEEDED, output, syncline};
use crate::support::TestApp;
use crate::support::{SANDBOX_KEY, WEBHOOK_SECRET};

/// What tokens are sealed with in `TestApp`.
const ENCRYPTION_KEY: &str = "c3luY2xpbmUtdGVzdC1lbmNyeXB0aW9uLWtleS0zMmI=";

/// What it says, check by check: the verdict, and what was found and advised.
struct Told {
    code: i32,
    checks: Vec<(String, String, String)>,
}

impl Told {
    /// Those that are not ok, with their verdicts.
    fn complaints(&self) -> BTreeMap<&str, &str> {
        let bad = self.checks.iter().filter(|(_, verdict, _)| verdict != "ok");
        bad.map(|(check, verdict, _)| (check.as_str(), verdict.as_str()))
            .collect()
    }

    #[track_caller]
    fn expect(&self, check: &str, verdict: &str, text: &str) {
        let found = self
            .checks
            .iter()
            .any(|(name, said, told)| name == check && said == verdict && told.contains(text));
        assert!(
            found,
            "no `{check}: {verdict}` with `{text}` in {:#?}",
            self.checks
        );
    }
}

async fn ask(environment: &[(&str, &str)], args: &[&str]) -> Told {
    let mut command = syncline(&[&["doctor", "--json"], args].concat());
    command.envs(NEEDED).envs(environment.iter().copied());
    let (code, stdout, stderr) = output(command).await;
    let checks: Vec<Value> = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = checks.iter().map(|check| {
        let told = format!("{}: {}", text(&check["found"]), text(&check["advice"]));
        (text(&check["check"]), text(&check["verdict"]), told)
    });
    Told {
        code,
        checks: checks.collect(),
    }
}

/// Of the service of a test; what is given wins.
async fn examine(app: &TestApp, more: &[(&str, &str)], args: &[&str]) -> Told {
    let (database, merge) = (app.database_url(), app.merge().base_url().to_string());
    let usual = [
        ("DATABASE_URL", database.as_str()),
        ("MERGE_API_BASE", &merge),
        ("MERGE_API_KEY", SANDBOX_KEY),
        ("MERGE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY),
    ];
    ask(&[&usual, more].concat(), args).await
}

/// A service that is well, but for its server, which is as fast as tests want it.
async fn healthy() -> TestApp {
    let app = TestApp::new().await;
    app.linked_account("org_1", "hris").await;
    app.silent_worker().await;
    app.known_schedules().await;
    app
}

#[tokio::test]
async fn what_is_well_is_left_alone() {
    let app = healthy().await;

    let told = examine(&app, &[], &[]).await;

    assert_eq!(
        told.complaints(),
        BTreeMap::from([("durability", "failed")]),
        "{:#?}",
        told.checks
    );
    told.expect(
        "durability",
        "failed",
        "fsync, full_page_writes, synchronous_commit off",
    );
    told.expect(
        "encryption key",
        "ok",
        "it opens the tokens that are stored",
    );
    told.expect("Merge", "ok", "takes our API key");
    assert_eq!(told.code, 1);
}

#[tokio::test]
async fn settings_that_are_wrong_or_unsafe_are_named() {
    let app = healthy().await;
    let far = "SYNCLINE__DATABASE__MAX_CONNECTIONS";

    let unknown = examine(&app, &[("SYNCLINE__HTPT__LISTEN", "x")], &[]).await;
    let keyless = examine(&app, &[("MERGE_API_KEY", "")], &[]).await;
    let open = [
        ("SYNCLINE__MERGE__ALLOW_PLAIN_HTTP", "true"),
        ("SYNCLINE__ENDPOINTS__ALLOW_PLAIN_HTTP", "true"),
    ];
    let open = examine(&app, &open, &[]).await;
    let greedy = examine(&app, &[(far, "500")], &[]).await;
    let deaf = examine(&app, &[("MERGE_WEBHOOK_SECRET", "")], &[]).await;
    let locked = examine(
        &app,
        &[("SYNCLINE_ENCRYPTION_KEY", super::binary::ENCRYPTION_KEY)],
        &[],
    )
    .await;

    unknown.expect("settings", "failed", "no such key");
    assert_eq!(
        unknown.checks.len(),
        1,
        "nothing can be looked at: {:#?}",
        unknown.checks
    );
    keyless.expect("settings", "failed", "merge.api_key");
    keyless.expect("Merge", "failed", "set MERGE_API_KEY");
    keyless.expect("indexes", "ok", "all are there");
    open.expect(
        "privacy",
        "warning",
        "both of Merge's tokens travel in the clear",
    );
    open.expect("privacy", "warning", "events can be read on their way");
    greedy.expect("connections", "failed", "a process of ours takes up to 517");
    deaf.expect("webhook secret", "failed", "set MERGE_WEBHOOK_SECRET");
    locked.expect(
        "encryption key",
        "failed",
        "append the key that it was sealed with",
    );
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart() {
    let app = healthy().await;

    let nowhere = [
        ("DATABASE_URL", NEEDED[0].1),
        ("SYNCLINE__DATABASE__CONNECT_TIMEOUT", "100ms"),
    ];
    let without_database = examine(&app, &nowhere, &[]).await;
    let without_merge = examine(&app, &[("MERGE_API_BASE", "http://127.0.0.1:1")], &[]).await;
    let refused = examine(&app, &[("MERGE_API_KEY", "canary-of-another")], &[]).await;
    let late = merge_of_yesterday().await;
    let late = examine(&app, &[("MERGE_API_BASE", &late)], &[]).await;

    without_database.expect("database", "failed", "correct DATABASE_URL");
    without_database.expect("Merge", "ok", "takes our API key");
    without_merge.expect("Merge", "failed", "see whether MERGE_API_BASE is right");
    without_merge.expect("workers", "ok", "1 worker at work");
    refused.expect("Merge", "failed", "it refuses our API key");
    assert!(!format!("{:?}", refused.checks).contains("canary"));
    late.expect(
        "Merge's clock",
        "warning",
        "ahead of Merge's: have both follow a time server",
    );
}

/// Answers everything, with a clock that stands.
async fn merge_of_yesterday() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        let answer = "HTTP/1.1 200 OK\r\ndate: Tue, 01 Jan 2019 00:00:00 GMT\r\ncontent-type: application/json\r\n\
                      content-length: 14\r\nconnection: close\r\n\r\n{\"results\":[]}";
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_service_that_stands_still_is_noticed() {
    let app = TestApp::new().await;
    let alone = examine(&app, &[], &[]).await;
    alone.expect("workers", "failed", "syncline serve --role worker");
    alone.expect("schedules", "failed", "no scheduler ever ran here");
    alone.expect("encryption key", "ok", "no token is stored yet");

    app.silent_worker().await;
    app.silent_worker().await;
    app.known_schedules().await;
    sqlx::query!(
        r#"
        UPDATE syncline.workers SET lease_until = now() - interval '1 s'
        WHERE id = (SELECT id FROM syncline.workers LIMIT 1)
        "#
    )
    .execute(app.pool())
    .await
    .unwrap();
    sqlx::query!(
        "UPDATE syncline.schedules SET next_run_at = now() - interval '1 hour' WHERE name = 'maintain'"
    )
    .execute(app.pool())
    .await
    .unwrap();
    let limping = examine(&app, &[], &[]).await;
    limping.expect("workers", "warning", "1 worker at work, 1 silent");
    limping.expect("schedules", "failed", "late: maintain");

    sqlx::query!("UPDATE syncline.schedules SET cron_override = 'often', overridden_at = now(), overridden_by = 'a', override_reason = 'r' WHERE name = 'maintain'")
        .execute(app.pool())
        .await
        .unwrap();
    let broken = examine(&app, &[], &[]).await;
    broken.expect("schedules", "failed", "cannot work: maintain");
}

#[tokio::test]
async fn a_database_out_of_shape_is_noticed() {
    let app = healthy().await;
    let pool = app.pool();
    sqlx::query!("DROP INDEX syncline.linked_accounts_next_poll")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query!(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'syncline.api_keys_pkey'::regclass"
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query!(
        r#"
        DO $$ BEGIN
            EXECUTE format('DROP TABLE syncline.%I',
                'job_history_' || to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD'));
        END $$
        "#
    )
    .execute(pool)
    .await
    .unwrap();
    bloat(pool).await;
    let mut open = pool.begin().await.unwrap();
    sqlx::query!("SELECT FROM syncline.jobs")
        .fetch_optional(&mut *open)
        .await
        .unwrap();

    let told = examine(&app, &[], &["--longest-transaction", "1ms"]).await;
    let patient = examine(&app, &[], &[]).await;
    open.rollback().await.unwrap();

    told.expect(
        "indexes",
        "failed",
        "missing: linked_accounts.linked_accounts_next_poll",
    );
    told.expect(
        "indexes",
        "failed",
        "never finished: api_keys.api_keys_pkey",
    );
    told.expect(
        "partitions",
        "warning",
        "job_history has them for 1 day from today on",
    );
    told.expect("dead rows", "warning", "job_count_deltas (");
    told.expect("old transactions", "warning", "transaction process");
    patient.expect("old transactions", "ok", "none keeps dead rows alive");

    forget_a_migration(pool).await;
    let old = examine(&app, &[], &[]).await;
    old.expect("migrations", "failed", "run `syncline migrate`");
    assert!(old.checks.iter().all(|(check, _, _)| check != "indexes"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the table is sqlx's own, not of our schema"
)]
async fn forget_a_migration(pool: &PgPool) {
    let newest =
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::query(newest).execute(pool).await.unwrap();
}

/// Makes rows that are dead and stay, and waits until the server has counted them.
async fn bloat(pool: &PgPool) {
    sqlx::query!("ALTER TABLE syncline.job_count_deltas SET (autovacuum_enabled = false)")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query!(
        r#"
        INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
        SELECT 'sync', 'none', 'waiting', 'epoch', 0 FROM generate_series(1, 20500)
        "#
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query!("DELETE FROM syncline.job_count_deltas WHERE kind = 'none'")
        .execute(pool)
        .await
        .unwrap();
    let counted = async || {
        let mut conn = pool.acquire().await.unwrap();
        let tables = store::server::tables(&mut conn).await.unwrap();
        tables
            .iter()
            .any(|table| table.table == "job_count_deltas" && table.dead > 20_000)
    };
    let waiting = async {
        while !counted().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting)
        .await
        .expect("the server counts");
}

#[tokio::test]
async fn a_server_of_production_is_well_until_somebody_holds_it_up() {
    let server = TestServer::durable().await;
    let options = merge_sandbox::Options {
        api_key: SANDBOX_KEY.to_owned(),
        ..merge_sandbox::Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let merge = sandbox.base_url().to_string();
    let environment = [
        ("DATABASE_URL", server.url()),
        ("MERGE_API_BASE", &merge),
        ("MERGE_API_KEY", SANDBOX_KEY),
        ("MERGE_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    let pool = PgPool::connect(server.url()).await.unwrap();
    sqlx::query!(
        r#"
        INSERT INTO syncline.workers (id, lease_until, host, pid, version, slots)
        VALUES (gen_random_uuid(), now() + interval '1 hour', 'elsewhere', 7, '0', '{"sync": 16}')
        "#
    )
    .execute(&pool)
    .await
    .unwrap();
    let schedules = jobs::registry().schedules();
    queue::schedule::sync(&mut pool.acquire().await.unwrap(), &schedules)
        .await
        .unwrap();

    let well = ask(&environment, &[]).await;
    assert_eq!(
        (well.code, well.complaints()),
        (0, BTreeMap::new()),
        "{:#?}",
        well.checks
    );

    for statement in ["max_prepared_transactions", "wal_level", "autovacuum"] {
        let done = match statement {
            "wal_level" => {
                sqlx::query!("ALTER SYSTEM SET wal_level = logical")
                    .execute(&pool)
                    .await
            }
            "autovacuum" => {
                sqlx::query!("ALTER SYSTEM SET autovacuum = off")
                    .execute(&pool)
                    .await
            }
            _ => {
                sqlx::query!("ALTER SYSTEM SET max_prepared_transactions = 2")
                    .execute(&pool)
                    .await
            }
        };
        done.unwrap();
    }
    pool.close().await;
    server.restart().await;
    let pool = PgPool::connect(server.url()).await.unwrap();
    sqlx::query!(
        "SELECT pg_create_logical_replication_slot('forgotten_slot', 'pgoutput')::text AS made"
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query!("DELETE FROM syncline.jobs")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query!("PREPARE TRANSACTION 'forgotten_transaction'")
        .execute(&mut *tx)
        .await
        .unwrap();
    drop(tx);

    let held = ask(&environment, &["--longest-transaction", "1ms"]).await;
    assert_eq!(held.code, 1);
    held.expect("autovacuum", "failed", "switch autovacuum");
    held.expect(
        "old transactions",
        "warning",
        "replication slot forgotten_slot",
    );
    held.expect(
        "old transactions",
        "warning",
        "prepared transaction forgotten_transaction",
    );
}
