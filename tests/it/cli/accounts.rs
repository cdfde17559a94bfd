//! The proof that nothing was left out, by command.

use serde_json::Value;

use super::binary::{output, syncline};
use crate::support::TestApp;

async fn verify(app: &TestApp, arguments: &[&str]) -> (i32, String, String) {
    let mut command = syncline(&[&["accounts", "verify"], arguments].concat());
    command.env("DATABASE_URL", app.database_url());
    output(command).await
}

#[tokio::test]
async fn a_window_that_is_missing_is_named() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await;

    let (code, shown, stderr) = verify(&app, &[]).await;
    assert_eq!(code, 0, "{stderr}");
    let line = |shown: &str, model: &str| {
        let line = shown.lines().find(|line| line.contains(model));
        line.unwrap_or_default().to_owned()
    };
    let employees = line(&shown, "hris.Employee");
    assert!(employees.contains("contiguous since 20"), "{shown}");
    assert!(employees.contains(&account.to_string()), "{shown}");

    sqlx::query!("DELETE FROM syncline.fetch_windows WHERE model_id = 'hris.Employee'")
        .execute(app.pool())
        .await
        .unwrap();

    let (code, shown, stderr) = verify(&app, &[]).await;
    assert_eq!(code, 70);
    assert!(stderr.contains("models with a gap: 1"), "{stderr}");
    let employees = line(&shown, "hris.Employee");
    assert!(
        employees.contains("GAP from the beginning to 20"),
        "{shown}"
    );
    assert!(line(&shown, "hris.Team").contains("contiguous"), "{shown}");
}

#[tokio::test]
async fn the_chain_of_one_account_is_shown() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await.to_string();
    app.synced_account("org_2", "hris").await;

    let (code, shown, _) = verify(&app, &["--account", &account]).await;
    assert_eq!(code, 0);
    let chain = shown.lines().filter(|line| line.contains("  first  "));
    assert_eq!(chain.count(), shown.matches("contiguous").count());

    let (_, shown, _) = verify(&app, &["--account", &account, "--json"]).await;
    for line in shown.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["linked_account_id"], account);
        if line["verdict"] == "contiguous" {
            assert_eq!(line["chain"][0]["extent"], "first");
        }
    }

    let nobody = "00000000-0000-0000-0000-000000000000";
    let (code, _, stderr) = verify(&app, &["--account", nobody]).await;
    assert_eq!(code, 70);
    assert!(
        stderr.contains("there is no linked account 0000"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_model_that_is_not_selected_is_said_to_be() {
    let app = TestApp::with_settings(&[("SYNCLINE__SYNC__MODELS", "hris.Team")]).await;
    app.synced_account("org_1", "hris").await;

    let (code, shown, stderr) = verify(&app, &[]).await;

    assert_eq!(code, 0, "{stderr}");
    for line in shown.lines() {
        let is_team = line.contains(" hris.Team ");
        assert_eq!(
            line.ends_with("never read, not selected"),
            !is_team,
            "{line}"
        );
        assert_eq!(line.contains("contiguous"), is_team, "{line}");
    }
}
