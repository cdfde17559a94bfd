//! Endpoints managed by command.

use serde_json::Value;
use store::Keyring;
use store::webhook_endpoints;
use test_support::TestDatabase;

use super::binary::{ENCRYPTION_KEY, output, syncline};

#[tokio::test]
async fn an_endpoint_is_added_changed_rotated_and_removed() {
    let database = TestDatabase::new().await;
    let url = database.url();
    let with = |args: &[&str]| {
        let mut command = syncline(&[&["endpoints"], args].concat());
        command
            .env("DATABASE_URL", &url)
            .env("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY);
        output(command)
    };

    let add = [
        "add",
        "https://hooks.example/in",
        "--organization",
        "org_1",
        "--json",
    ];
    let (code, added, stderr) = with(&add).await;
    assert_eq!(code, 0, "{stderr}");
    let added: Value = serde_json::from_str(&added).unwrap();
    let (id, secret) = (
        added["id"].as_str().unwrap(),
        added["secret"].as_str().unwrap(),
    );
    assert!(secret.starts_with("whsec_"));
    let (code, _, stderr) = with(&["add", "https://10.0.0.1/in"]).await;
    assert_eq!(code, 70);
    assert!(stderr.contains("must lead to a public address"), "{stderr}");

    let (_, listed, _) = with(&["list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["id"], id);
    assert!(!listed.to_string().contains(secret));
    let (_, table, _) = with(&["list", "--organization", "org_1"]).await;
    assert!(table.contains(id) && table.contains("enabled"), "{table}");
    let (_, none, _) = with(&["list", "--organization", "org_2", "--json"]).await;
    assert_eq!(none.trim(), "[]");

    let set = [
        "set",
        id,
        "--event-type",
        "account.linked,model.synced",
        "--description",
        "ours",
    ];
    let (code, lines, stderr) = with(&set).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(lines.contains("account.linked, model.synced"), "{lines}");
    let (_, rotated, _) = with(&["rotate", id, "--json"]).await;
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    assert_ne!(rotated["secret"], added["secret"]);
    let (code, _, stderr) = with(&["rotate", id]).await;
    assert!(
        code == 65 && stderr.contains("endpoints retire"),
        "{stderr}"
    );
    assert_eq!(with(&["retire", id]).await.0, 0);
    let keyring = Keyring::parse(&ENCRYPTION_KEY.into()).unwrap();
    let mut conn = database.pool().acquire().await.unwrap();
    let opened = webhook_endpoints::open(&mut conn, &keyring, id.parse().unwrap()).await;
    assert_eq!(opened.unwrap().unwrap().secrets.len(), 1);

    let (_, lines, _) = with(&["disable", id]).await;
    assert!(lines.contains("disabled: by_request"), "{lines}");
    let (_, lines, _) = with(&["enable", id, "--from", "now"]).await;
    assert!(lines.contains("enabled"), "{lines}");
    let pending = queue::testing::pending(database.pool(), "deliver_event");
    assert_eq!(pending.await.unwrap().len(), 1);

    assert_eq!(with(&["remove", id, "--yes"]).await.0, 0);
    let (code, _, stderr) = with(&["show", id]).await;
    assert!(
        code == 66 && stderr.contains("there is no endpoint"),
        "{stderr}"
    );
}
