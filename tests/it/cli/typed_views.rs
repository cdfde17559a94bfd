//! The records with a column for each field.

use sqlx::AssertSqlSafe;

use super::binary::{output, syncline};
use crate::support::TestApp;

/// The number that a query on views gives.
#[expect(
    clippy::disallowed_methods,
    reason = "when queries are checked, the views are not there"
)]
async fn number(app: &TestApp, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(app.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn migrating_makes_a_view_of_every_model_and_odd_values_spoil_none() {
    let app = TestApp::new().await;
    app.synced_account("org_1", "hris").await;
    app.synced_account("org_2", "ats").await;
    for _ in 0..2 {
        let mut command = syncline(&["migrate"]);
        command.env("DATABASE_URL", app.database_url());
        let (code, _, stderr) = output(command).await;
        assert_eq!(code, 0, "{stderr}");
    }

    let views = sqlx::query!(
        r#"
        SELECT table_schema || '.' || table_name AS "name!"
        FROM information_schema.views
        WHERE table_schema LIKE 'syncline\_%'
        "#
    )
    .fetch_all(app.pool())
    .await
    .unwrap();
    assert_eq!(views.len(), merge_client::catalogue::all().len());
    let mut rows = 0;
    for view in views {
        // Every column of every row is read.
        let query = format!(
            "SELECT count(*) FROM {} AS v WHERE v::text <> ''",
            view.name
        );
        rows += number(&app, &query).await;
    }
    let stored = "SELECT count(*) FROM syncline.model_records";
    assert_eq!(rows, number(&app, stored).await);

    let employees = "SELECT count(*) FROM syncline_hris.employees WHERE organization_id = 'org_1' \
                     AND first_name <> '' AND start_date < now() + interval '100 years'";
    let before = number(&app, employees).await;
    assert!(before > 0);
    sqlx::query!(
        r#"
        UPDATE syncline.model_records
        SET data = data || '{"start_date": "soon", "pay_group": {"id": 7}, "ssn": 5}'
        WHERE model_id = 'hris.Employee'
        "#
    )
    .execute(app.pool())
    .await
    .unwrap();
    assert_eq!(number(&app, employees).await, 0, "no time, no error");
    let odd = "SELECT count(*) FROM syncline_hris.employees WHERE start_date IS NULL AND ssn = '5'";
    assert!(number(&app, odd).await >= before);
}
