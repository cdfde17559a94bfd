//! The proof that nothing was left out, by command.

use serde_json::Value;

use super::binary::{json, run};
use crate::support::TestApp;

async fn verify(app: &TestApp, arguments: &[&str]) -> (i32, String, String) {
    run(app, &[&["accounts", "verify"], arguments].concat()).await
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
    assert_eq!(code, 66);
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

#[tokio::test]
async fn an_account_is_listed_shown_and_read_again() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await.to_string();
    app.linked_account("org_2", "crm").await;

    let listed = json(&app, &["accounts", "list", "--organization", "org_1"]).await;
    let all = json(&app, &["accounts", "list", "--limit", "1"]).await;
    let last = all[0]["id"].as_str().unwrap();
    let rest = json(&app, &["accounts", "list", "--after", last]).await;
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["id"]),
        (1, &account.as_str().into())
    );
    assert_eq!(rest.as_array().unwrap().len(), 1);
    let (_, text, _) = run(&app, &["accounts", "show", &account]).await;
    assert!(
        text.starts_with("In step: all that Merge has finished is stored"),
        "{text}"
    );
    assert!(text.contains("contiguous since 20"), "{text}");

    let poll = json(&app, &["accounts", "poll", &account]).await;
    let sweep = [
        "accounts",
        "resync-incremental",
        &account,
        "--model",
        "hris.Team",
    ];
    let sweep = json(&app, &sweep).await;
    let full = ["accounts", "resync-full", &account, "--reason", "r"];
    let (asked, _, _) = run(&app, &full).await;
    let full = json(&app, &[&full[..], &["--yes"]].concat()).await;
    assert_eq!(asked, 65, "nobody was there to be asked");
    for job in [poll, sweep, full] {
        let id = job["job_id"].as_str().unwrap();
        json(&app, &["jobs", "show", id]).await;
    }

    let delete = ["accounts", "delete", &account, "--reason", "r"];
    for wrong in [&[][..], &["--customer", "Another"]] {
        let (code, _, stderr) = run(&app, &[&delete[..], wrong].concat()).await;
        assert_eq!(code, 65, "{stderr}");
    }
    assert!(app.pending("delete_account").await.is_empty());
    json(&app, &[&delete[..], &["--customer", "Customer"]].concat()).await;
    assert_eq!(app.pending("delete_account").await.len(), 1);
}
