//! Webhooks looked at, replayed and signed by command.

use merge_client::webhook;
use serde_json::Value;
use store::Keyring;
use store::webhook_deliveries::{self, NewDelivery};
use test_support::TestDatabase;

use super::binary::{ENCRYPTION_KEY, output, syncline};

const SECRET: &str = "canary-webhook-secret";

#[tokio::test]
async fn deliveries_are_listed_shown_replayed_and_counted() {
    let database = TestDatabase::new().await;
    let url = database.url();
    let with = |args: &[&str]| {
        let mut command = syncline(args);
        command
            .env("DATABASE_URL", &url)
            .env("MERGE_WEBHOOK_SECRET", SECRET)
            .env("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY);
        output(command)
    };
    let keyring = Keyring::parse(&ENCRYPTION_KEY.into()).unwrap();
    let delivery = NewDelivery::seal(&keyring, b"{ \"a\": 1}", "an-id").unwrap();
    let id = delivery.id().to_string();
    let mut conn = database.pool().acquire().await.unwrap();
    webhook_deliveries::insert(&mut conn, vec![delivery])
        .await
        .unwrap();

    let (code, table, stderr) = with(&["webhooks", "list"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(table.contains(&id) && table.contains("received"), "{table}");
    let (_, listed, _) = with(&["webhooks", "list", "--verdict", "parked", "--json"]).await;
    assert_eq!(listed.trim(), "[]");
    let (_, shown, _) = with(&["webhooks", "show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["secret_id"], "an-id");
    let (_, body, _) = with(&["webhooks", "show", &id, "--body"]).await;
    assert_eq!(body, "{ \"a\": 1}");

    // It waits already.
    let (code, _, stderr) = with(&["webhooks", "replay", &id]).await;
    assert_eq!(code, 65, "{stderr}");
    sqlx::query!(
        "UPDATE syncline.webhook_deliveries SET verdict = 'ignored', processed_at = now()"
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let since = ["--since", "2020-01-01T00:00:00Z"];
    let (_, replayed, stderr) = with(&["webhooks", "replay", since[0], since[1], "--json"]).await;
    let replayed: Value = serde_json::from_str(&replayed).unwrap_or_else(|_| panic!("{stderr}"));
    assert_eq!(replayed["replayed"], 1);
    let pending = queue::testing::pending(database.pool(), "process_deliveries");
    assert_eq!(pending.await.unwrap().len(), 1);

    let (_, stats, _) = with(&["webhooks", "stats", "--json"]).await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["deliveries"][0]["deliveries"], 1);
    assert_eq!(stats["secrets"][0]["is_active"], true);
    let (code, tables, _) = with(&["webhooks", "stats"]).await;
    assert_eq!(code, 0);
    assert!(tables.contains("never"), "{tables}");
    assert!(!tables.contains(SECRET));
}

#[tokio::test]
async fn a_signed_line_delivers_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it's.json");
    std::fs::write(&file, b"{}\n").unwrap();
    let sign = |args: &[&str]| {
        let all = [&["webhooks", "sign", file.to_str().unwrap()], args].concat();
        let mut command = syncline(&all);
        command.env("MERGE_WEBHOOK_SECRET", SECRET);
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
        output(command)
    };
    let expected = webhook::sign(SECRET, b"{}\n");

    let (code, signature, stderr) = sign(&["--signature-only"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(signature.trim(), expected);

    let (_, line, _) = sign(&["--url", "https://product.example/hook"]).await;
    assert!(
        line.starts_with("curl 'https://product.example/hook' "),
        "{line}"
    );
    assert!(
        line.contains(&format!("X-Merge-Webhook-Signature: {expected}'")),
        "{line}"
    );
    assert!(line.contains(r"it'\''s.json"), "{line}");
    assert!(!line.contains(SECRET));
}
