//! Users and the audit log, by command.

use serde_json::Value;

use super::binary::run;
use crate::support::TestApp;
use crate::support::visitor::browse;

#[tokio::test]
async fn a_user_is_added_logs_in_and_is_removed() {
    let app = TestApp::new().await;

    let (code, password, stderr) = run(&app, &["users", "add", "anna", "--role", "operator"]).await;
    assert_eq!(code, 0, "{stderr}");
    let anna = app
        .visitor_with(&[("name", "anna"), ("password", password.trim())])
        .await;
    let (_, listed, _) = run(&app, &["users", "list", "--json"]).await;
    let (again, _, refusal) = run(&app, &["users", "add", "anna"]).await;
    let (bad, _, rule) = run(&app, &["users", "add", "Anna B"]).await;
    let (removed, _, _) = run(&app, &["users", "remove", "anna", "--yes"]).await;
    let (missing, _, unknown) = run(&app, &["users", "password", "anna"]).await;

    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["role"]),
        (&"anna".into(), &"operator".into())
    );
    assert!(!listed.to_string().contains("argon2"));
    assert!(listed[0]["last_login_at"].is_string());
    assert_eq!((again, bad, removed, missing), (65, 65, 0, 66));
    assert!(
        refusal.contains("there is a user anna already"),
        "{refusal}"
    );
    assert!(rule.contains("lower-case letters"), "{rule}");
    assert!(unknown.contains("no such user"), "{unknown}");
    let call = browse(http::Method::GET, "/console/jobs").header("cookie", &anna.cookie);
    assert_eq!(app.call(call).await.status, 303, "her session is over");
}

#[tokio::test]
async fn a_log_that_was_changed_is_found_out() {
    let app = TestApp::new().await;
    run(&app, &["users", "add", "anna"]).await;
    let (asked, _, _) = run(&app, &["users", "remove", "anna"]).await;
    assert_eq!(asked, 65, "nobody was there to be asked");
    run(&app, &["users", "remove", "anna", "--yes"]).await;

    let (whole, shown, _) = run(&app, &["audit", "verify"]).await;
    let (_, listed, _) = run(&app, &["audit", "list", "--target", "anna"]).await;
    assert_eq!(whole, 0);
    assert!(shown.starts_with("whole: 2 entries"), "{shown}");
    assert!(
        listed.contains("user.add") && listed.contains("command line ("),
        "{listed}"
    );

    let mut tx = app.pool().begin().await.unwrap();
    sqlx::query!("ALTER TABLE syncline.audit_log DISABLE TRIGGER audit_log_append_only")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query!("UPDATE syncline.audit_log SET actor = 'nobody' WHERE position = 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let (broken, _, stderr) = run(&app, &["audit", "verify"]).await;
    assert_eq!(broken, 70);
    assert!(stderr.contains("broken at entry 1"), "{stderr}");
}
