//! Keys made, listed and revoked by command.

use serde_json::Value;
use test_support::TestDatabase;

use super::binary::{output, syncline};

#[tokio::test]
async fn a_key_is_shown_once_and_then_only_known_by_its_prefix() {
    let database = TestDatabase::new().await;
    let url = database.url();
    let with = |args: &[&str]| {
        let mut command = syncline(args);
        command.env("DATABASE_URL", &url);
        output(command)
    };

    let new = [
        "keys",
        "create",
        "--name",
        "backend",
        "--scope",
        "read",
        "--organization",
        "org_1",
    ];
    let (code, key, stderr) = with(&new).await;
    assert_eq!(code, 0, "{stderr}");
    let key = key.trim();
    assert!(key.starts_with("sl_") && key.len() > 40, "{key}");

    let (_, listed, _) = with(&["keys", "list", "--json"]).await;
    assert!(!listed.contains(key));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let [row] = listed.as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    assert_eq!(
        (&row["name"], &row["organization_id"]),
        (&"backend".into(), &"org_1".into())
    );
    assert_eq!(row["scopes"], serde_json::json!(["read"]));
    assert!(key.starts_with(row["prefix"].as_str().unwrap()));

    let id = row["id"].as_str().unwrap();
    assert_eq!(with(&["keys", "revoke", id, "--yes"]).await.0, 0);
    let (_, table, _) = with(&["keys", "list"]).await;
    assert!(table.contains(id) && table.contains("revoked"), "{table}");
    let late = [
        "keys",
        "create",
        "--name",
        "late",
        "--expires-at",
        "2020-01-01T00:00:00Z",
    ];
    assert_eq!(with(&late).await.0, 0);
    let (_, table, _) = with(&["keys", "list"]).await;
    let line = table.lines().find(|line| line.ends_with("late")).unwrap();
    assert!(line.contains("expired"), "{table}");
    let nobody = "00000000-0000-0000-0000-000000000000";
    let (code, _, stderr) = with(&["keys", "revoke", nobody, "--yes"]).await;
    assert_eq!(code, 66);
    assert!(
        stderr.starts_with("error: there is no such key"),
        "{stderr}"
    );
}
