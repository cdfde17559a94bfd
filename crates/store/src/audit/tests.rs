use serde_json::json;
use test_support::TestDatabase;

use super::*;

async fn appended(conn: &mut PgConnection, count: usize) {
    for number in 0..count {
        let target = format!("job {number}");
        let new = NewEntry {
            actor: "anna",
            role: Role::Operator,
            action: "job.retry",
            target: &target,
            reason: (number % 2 == 0).then_some("it is\0 mended"),
            detail: json!({ "before": "dead", "ü": number }),
        };
        append(conn, new).await.unwrap();
    }
}

/// Changes the table as somebody would who may do everything to the database.
async fn tampered(with: &'static str) -> Verdict {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    appended(&mut conn, 5).await;
    for statement in [
        "ALTER TABLE syncline.audit_log DISABLE TRIGGER audit_log_append_only",
        with,
    ] {
        #[expect(
            clippy::disallowed_methods,
            reason = "statements from a table of cases"
        )]
        sqlx::raw_sql(statement).execute(&mut *conn).await.unwrap();
    }
    verify(&mut conn).await.unwrap()
}

#[tokio::test]
async fn what_was_appended_is_whole_and_listed_newest_first() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let empty = verify(&mut conn).await.unwrap();
    appended(&mut conn, 5).await;

    let verdict = verify(&mut conn).await.unwrap();
    let all = EntryFilter::default();
    let newest = list(&mut conn, &all, 2).await.unwrap();
    let of_one = EntryFilter {
        target: Some("job 1"),
        before: Some(5),
    };
    let of_one = list(&mut conn, &of_one, 9).await.unwrap();

    assert!(matches!(empty, Verdict::Whole { entries: 0, .. }));
    let head = newest[0].hash.clone();
    assert_eq!(verdict, Verdict::Whole { entries: 5, head });
    assert_eq!((newest[0].position, newest[1].position), (5, 4));
    assert_eq!(of_one.len(), 1);
    assert_eq!(newest[0].reason.as_deref(), Some("it is\u{fffd} mended"));
}

#[tokio::test]
async fn whatever_is_changed_afterwards_is_found() {
    let cases = [
        (
            "UPDATE syncline.audit_log SET actor = 'ben' WHERE position = 3",
            3,
        ),
        (
            "UPDATE syncline.audit_log SET reason = NULL WHERE position = 3",
            3,
        ),
        (
            "UPDATE syncline.audit_log SET at = at + interval '1 us' WHERE position = 2",
            2,
        ),
        (
            "UPDATE syncline.audit_log SET detail = '{}' WHERE position = 1",
            1,
        ),
        ("DELETE FROM syncline.audit_log WHERE position = 2", 2),
        ("DELETE FROM syncline.audit_log WHERE position = 5", 5),
        ("DELETE FROM syncline.audit_log", 1),
        (
            "UPDATE syncline.audit_head SET hash = decode(repeat('ab', 32), 'hex')",
            5,
        ),
        ("DELETE FROM syncline.audit_head", 0),
    ];
    for (with, expected) in cases {
        match tampered(with).await {
            Verdict::Broken { position, .. } => assert_eq!(position, expected, "{with}"),
            Verdict::Whole { .. } => panic!("not found: {with}"),
        }
    }
}

#[tokio::test]
async fn a_mistake_cannot_change_it() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    appended(&mut conn, 1).await;

    let updated = sqlx::query!("UPDATE syncline.audit_log SET actor = 'ben'")
        .execute(&mut *conn)
        .await;
    let deleted = sqlx::query!("DELETE FROM syncline.audit_log")
        .execute(&mut *conn)
        .await;
    let emptied = sqlx::query!("TRUNCATE syncline.audit_log")
        .execute(&mut *conn)
        .await;

    for refused in [updated, deleted, emptied] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("only ever appended to"), "{error}");
    }
}

#[tokio::test]
async fn those_who_append_at_once_form_one_chain() {
    let database = TestDatabase::new().await;
    let mut writers = Vec::new();
    for _ in 0..4 {
        let pool = database.pool().clone();
        #[expect(clippy::disallowed_methods, reason = "joined below")]
        writers.push(tokio::spawn(async move {
            for _ in 0..10 {
                let mut tx = pool.begin().await.unwrap();
                appended(&mut tx, 1).await;
                tx.commit().await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }

    let verdict = verify(&mut database.pool().acquire().await.unwrap()).await;

    assert!(matches!(
        verdict.unwrap(),
        Verdict::Whole { entries: 40, .. }
    ));
}
