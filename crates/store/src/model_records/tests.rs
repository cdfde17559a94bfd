use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use test_support::TestDatabase;
use tokio_util::task::TaskTracker;

use super::*;
use crate::linked_accounts::{NewAccount, prepare_pending};

const MODEL: &str = "hris.Employee";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

fn record<'a>(merge_id: &'a str, data: &'a str, modified_at: Option<i64>) -> NewRecord<'a> {
    NewRecord {
        merge_id,
        remote_id: None,
        data,
        modified_at: modified_at.map(at),
        created_at: None,
        is_deleted: false,
    }
}

fn counts(inserted: u64, updated: u64, unchanged: u64, stale: u64) -> Counts {
    Counts {
        inserted,
        updated,
        unchanged,
        stale,
    }
}

/// An account of the organization `acme`.
async fn account(conn: &mut PgConnection) -> AccountId {
    let new = NewAccount {
        id: AccountId::new(),
        organization_id: "acme",
        category: "hris",
        end_user_origin_id: "o1",
        user_id: None,
        display_name: None,
        integration: None,
        end_user_organization_name: "Acme",
        end_user_email_address: "it@acme.test",
    };
    prepare_pending(conn, &new).await.unwrap().id
}

async fn store(
    conn: &mut PgConnection,
    account_id: AccountId,
    records: &[NewRecord<'_>],
    changed_at: i64,
) -> Counts {
    upsert(conn, account_id, MODEL, records, at(changed_at))
        .await
        .unwrap()
}

fn filter(account_id: AccountId) -> RecordFilter<'static> {
    RecordFilter {
        account_id,
        organization_id: Some("acme"),
        model_id: MODEL,
        changed_after: None,
        include_deleted: true,
        after: None,
    }
}

/// Id and data of every record, in the order of changes.
async fn stored(conn: &mut PgConnection, account_id: AccountId) -> Vec<(String, String)> {
    let records = list(conn, &filter(account_id), 1000).await.unwrap();
    records
        .into_iter()
        .map(|record| (record.merge_id, record.data.0.get().to_owned()))
        .collect()
}

#[tokio::test]
async fn counts_tell_what_became_of_each_record() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let first = [
        record("same", r#"{"a": 1, "b": 2}"#, Some(10)),
        record("newer", r#"{"v": 1}"#, Some(10)),
        record("older", r#"{"v": 1}"#, Some(10)),
    ];
    assert_eq!(
        store(&mut conn, account_id, &first, 1).await,
        counts(3, 0, 0, 0)
    );

    let second = [
        record("same", r#"{"b":2.0,"a":1}"#, Some(10)),
        record("newer", r#"{"v": 2}"#, Some(11)),
        record("older", r#"{"v": 0}"#, Some(9)),
        record("new", r#"{"v": 1}"#, Some(9)),
    ];
    assert_eq!(
        store(&mut conn, account_id, &second, 2).await,
        counts(1, 1, 1, 1)
    );

    let expected = [
        ("older", r#"{"v": 1}"#),
        ("same", r#"{"a": 1, "b": 2}"#),
        ("new", r#"{"v": 1}"#),
        ("newer", r#"{"v": 2}"#),
    ];
    let expected = expected.map(|(id, data)| (id.to_owned(), data.to_owned()));
    assert_eq!(stored(&mut conn, account_id).await, expected);
}

#[tokio::test]
async fn an_unchanged_page_writes_nothing() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let page = [record("a", "{}", Some(1)), record("b", "{}", None)];
    store(&mut conn, account_id, &page, 1).await;
    let before = row_versions(&mut conn).await;

    assert_eq!(
        store(&mut conn, account_id, &page, 2).await,
        counts(0, 0, 2, 0)
    );

    assert_eq!(before, row_versions(&mut conn).await);
}

/// Where each row lies and whether it was locked: any write changes it.
async fn row_versions(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar!(
        r#"SELECT ctid::text || ' ' || xmax::text AS "version!" FROM syncline.model_records ORDER BY 1"#
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_record_without_a_time_is_believed_and_so_is_the_one_after_it() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;

    for (step, (data, modified_at)) in [("1", Some(10)), ("2", None), ("3", Some(5))]
        .into_iter()
        .enumerate()
    {
        let page = [record("a", data, modified_at)];
        let stored = store(&mut conn, account_id, &page, i64::try_from(step).unwrap()).await;
        assert_eq!(stored.changed(), 1);
    }

    assert_eq!(
        stored(&mut conn, account_id).await,
        [("a".to_owned(), "3".to_owned())]
    );
}

#[tokio::test]
async fn of_one_id_in_a_page_the_newest_is_taken_then_the_last() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let page = [
        record("a", "1", Some(2)),
        record("a", "2", Some(3)),
        record("a", "3", None),
        record("a", "4", Some(1)),
        record("b", "1", Some(1)),
        record("b", "2", Some(1)),
    ];

    assert_eq!(
        store(&mut conn, account_id, &page, 1).await,
        counts(2, 0, 0, 0)
    );

    let expected = [("a", "2"), ("b", "2")].map(|(id, data)| (id.to_owned(), data.to_owned()));
    assert_eq!(stored(&mut conn, account_id).await, expected);
}

#[tokio::test]
async fn a_deletion_is_a_change_and_the_record_stays() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    store(&mut conn, account_id, &[record("a", "{}", Some(1))], 1).await;

    let deleted = NewRecord {
        is_deleted: true,
        ..record("a", "{}", Some(1))
    };
    assert_eq!(
        store(&mut conn, account_id, &[deleted], 2).await,
        counts(0, 1, 0, 0)
    );

    let all = list(&mut conn, &filter(account_id), 10).await.unwrap();
    assert!(all[0].is_deleted);
    let living = RecordFilter {
        include_deleted: false,
        ..filter(account_id)
    };
    assert!(list(&mut conn, &living, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn odd_records_do_not_poison_a_page() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let long = "x".repeat(10_000);
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let digits = format!("[1e100000, 0.{}]", "1".repeat(20_000));
    let page = [
        record("nul", r#"{"a\u0000": "\u0000"}"#, Some(1)),
        record("surrogate", r#""\ud83d""#, Some(1)),
        record("n\0ul", "{}", Some(1)),
        record(&long, "{}", Some(1)),
        record("deep", &deep, Some(1)),
        record("digits", &digits, Some(1)),
        record("far", "{}", Some(i64::from(i32::MAX) * 300)),
    ];

    assert_eq!(
        store(&mut conn, account_id, &page, 1).await,
        counts(7, 0, 0, 0)
    );
    assert_eq!(
        store(&mut conn, account_id, &page, 2).await,
        counts(0, 0, 7, 0)
    );
}

#[tokio::test]
async fn a_reader_that_pages_meets_every_record_once_and_what_changes_again() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let ids: Vec<String> = (0..10).map(|number| format!("r{number}")).collect();
    let page: Vec<_> = ids.iter().map(|id| record(id, "{}", Some(1))).collect();
    store(&mut conn, account_id, &page, 1).await;

    let mut walk = filter(account_id);
    let mut met = Vec::new();
    loop {
        let records = list(&mut conn, &walk, 3).await.unwrap();
        let Some(last) = records.last() else { break };
        walk.after = Some(Position {
            changed_at: last.changed_at,
            merge_id: last.merge_id.clone(),
        });
        met.extend(records.into_iter().map(|record| record.merge_id));
        if met.len() == 3 {
            store(
                &mut conn,
                account_id,
                &[record("r0", r#"{"v":2}"#, Some(2))],
                2,
            )
            .await;
        }
    }

    let mut expected = ids.clone();
    expected.push("r0".to_owned());
    assert_eq!(met, expected);
}

#[tokio::test]
async fn changed_after_leaves_out_all_of_that_moment() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    store(
        &mut conn,
        account_id,
        &[record("a", "{}", None), record("z", "{}", None)],
        1,
    )
    .await;
    store(&mut conn, account_id, &[record("b", "{}", None)], 2).await;

    let later = RecordFilter {
        changed_after: Some(at(1)),
        ..filter(account_id)
    };
    let records = list(&mut conn, &later, 10).await.unwrap();

    assert_eq!(records.len(), 1);
    assert_eq!(records[0].merge_id, "b");
}

#[tokio::test]
async fn another_organization_sees_no_records() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    store(&mut conn, account_id, &[record("a", "{}", None)], 1).await;

    let other = RecordFilter {
        organization_id: Some("other"),
        ..filter(account_id)
    };

    assert!(list(&mut conn, &other, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn records_are_deleted_in_batches() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let page = [
        record("a", "1", None),
        record("b", "1", None),
        record("c", "1", None),
    ];
    store(&mut conn, account_id, &page, 1).await;
    upsert(&mut conn, AccountId::new(), MODEL, &page, at(1))
        .await
        .unwrap();

    let batches = [
        delete_batch(&mut conn, account_id, 2).await.unwrap(),
        delete_batch(&mut conn, account_id, 2).await.unwrap(),
        delete_batch(&mut conn, account_id, 2).await.unwrap(),
    ];

    assert_eq!(batches, [2, 1, 0]);
    let left = sqlx::query_scalar!("SELECT count(*) FROM syncline.model_records")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(left, Some(3), "the other account's stay");
}

/// Pages of one model are stored one after another, even by two connections, and each is later than the one before:
/// a reader that saw one has seen all before it.
#[tokio::test]
async fn a_page_that_commits_late_is_not_skipped() {
    use crate::fetch_windows::{self, Opening};
    use crate::model_syncs::{self, Observation};

    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn).await;
    let observation = Observation {
        model_id: MODEL.to_owned(),
        ready_through: Some(at(0)),
        ..Observation::default()
    };
    model_syncs::observe(&mut conn, account_id, &[observation])
        .await
        .unwrap();
    let opening = Opening {
        overlap: Duration::from_secs(5),
        has_modified_filter: true,
    };
    let mut window = fetch_windows::resume_or_open(&mut conn, account_id, MODEL, opening)
        .await
        .unwrap()
        .unwrap();

    let mut slow = database.pool().begin().await.unwrap();
    let mut in_slow = window.clone();
    fetch_windows::save_page(&mut slow, &mut in_slow, &[record("slow", "{}", None)], "1")
        .await
        .unwrap();
    let tasks = TaskTracker::new();
    let fast = tasks.spawn({
        let pool = database.pool().clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            window.pages = 1;
            fetch_windows::save_last_page(&mut tx, &window, &[record("fast", "{}", None)])
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    });
    let seen_before = stored(&mut conn, account_id).await;
    slow.commit().await.unwrap();
    fast.await.unwrap();

    assert!(
        seen_before.is_empty(),
        "the fast one waits for the slow one"
    );
    let order: Vec<_> = stored(&mut conn, account_id)
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(order, ["slow", "fast"]);
}

/// What a store of one page after another should hold: the rules of the module, told once more without SQL.
fn expected_after(pages: &[Vec<Change>]) -> Vec<(String, u8, bool)> {
    let mut stored = std::collections::BTreeMap::<u8, (u8, Option<u8>, bool)>::new();
    for page in pages {
        let mut newest = std::collections::BTreeMap::<u8, (u8, Option<u8>, bool)>::new();
        for (id, data, modified_at, is_deleted) in page {
            let taken = newest
                .get(id)
                .is_some_and(|(_, taken, _)| taken > modified_at);
            if !taken {
                newest.insert(*id, (*data, *modified_at, *is_deleted));
            }
        }
        for (id, incoming) in newest {
            let is_stale = stored.get(&id).is_some_and(
                |(_, stored, _)| matches!((incoming.1, stored), (Some(i), Some(s)) if i < *s),
            );
            if !is_stale {
                stored.insert(id, incoming);
            }
        }
    }
    stored
        .into_iter()
        .map(|(id, (data, _, deleted))| (format!("r{id}"), data, deleted))
        .collect()
}

/// One change: id, data, time, deleted.
type Change = (u8, u8, Option<u8>, bool);

#[test]
fn any_pages_leave_the_newest_of_each() {
    let change = (0u8..6, 0u8..4, prop::option::of(0u8..5), any::<bool>());
    let pages = prop::collection::vec(prop::collection::vec(change, 0..8), 1..6);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));

    runner
        .run(&pages, |pages| {
            let stored = runtime.block_on(store_all(&database, &pages));
            prop_assert_eq!(stored, expected_after(&pages));
            Ok(())
        })
        .unwrap();
}

async fn store_all(database: &TestDatabase, pages: &[Vec<Change>]) -> Vec<(String, u8, bool)> {
    // An account of this run's own, in a transaction that is rolled back.
    let mut conn = database.pool().begin().await.unwrap();
    let account_id = account(&mut conn).await;
    for (step, page) in pages.iter().enumerate() {
        let texts: Vec<_> = page
            .iter()
            .map(|(id, data, ..)| (format!("r{id}"), data.to_string()))
            .collect();
        let records: Vec<_> = page
            .iter()
            .zip(&texts)
            .map(|((_, _, modified_at, is_deleted), (id, data))| NewRecord {
                is_deleted: *is_deleted,
                ..record(id, data, modified_at.map(i64::from))
            })
            .collect();
        store(
            &mut conn,
            account_id,
            &records,
            i64::try_from(step).unwrap(),
        )
        .await;
    }
    let records = list(&mut conn, &filter(account_id), 1000).await.unwrap();
    let mut stored: Vec<_> = records
        .into_iter()
        .map(|record| {
            (
                record.merge_id,
                record.data.0.get().parse().unwrap(),
                record.is_deleted,
            )
        })
        .collect();
    stored.sort();
    stored
}
