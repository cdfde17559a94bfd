use chrono::TimeDelta;
use sqlx::PgPool;
use test_support::TestDatabase;
use tokio_util::task::TaskTracker;

use super::EventType::{
    AccountDeleted, AccountLinked, AccountRelinkNeeded, ModelSynced, RecordCreated, RecordDeleted,
    RecordUpdated,
};
use super::*;
use crate::fetch_windows::{self, Opening, Window};
use crate::linked_accounts::{self, AccountStatus, Linked, NewAccount};
use crate::model_records::NewRecord;
use crate::model_syncs::{self, Observation};
use crate::{Keyring, model_records};

const MODEL: &str = "hris.Employee";

/// A pending account of an organization.
async fn account(conn: &mut PgConnection, organization_id: &str) -> AccountId {
    let id = AccountId::new();
    let new = NewAccount {
        id,
        organization_id,
        category: "hris",
        end_user_origin_id: &id.to_string(),
        user_id: None,
        display_name: None,
        integration: None,
        end_user_organization_name: "Customer",
        end_user_email_address: "it@customer.test",
    };
    linked_accounts::prepare_pending(conn, &new)
        .await
        .unwrap()
        .id
}

fn record<'a>(merge_id: &'a str, data: &'a str, is_deleted: bool) -> NewRecord<'a> {
    NewRecord {
        merge_id,
        remote_id: None,
        data,
        modified_at: None,
        created_at: None,
        is_deleted,
    }
}

/// Stores records of the model.
async fn store(conn: &mut PgConnection, account_id: AccountId, records: &[NewRecord<'_>]) {
    let at = DateTime::from_timestamp(1_770_000_000, 0).unwrap();
    model_records::upsert(conn, account_id, MODEL, records, at)
        .await
        .unwrap();
}

/// Opens a window of the model.
async fn window(conn: &mut PgConnection, account_id: AccountId, mark: i64) -> Window {
    let observation = Observation {
        model_id: MODEL.to_owned(),
        ready_through: DateTime::from_timestamp(1_770_000_000 + mark, 0),
        ..Observation::default()
    };
    model_syncs::observe(conn, account_id, &[observation])
        .await
        .unwrap();
    let opening = Opening {
        overlap: Duration::from_mins(2),
        has_modified_filter: false,
    };
    fetch_windows::resume_or_open(conn, account_id, MODEL, opening)
        .await
        .unwrap()
        .unwrap()
}

async fn page(conn: &mut PgConnection, filter: FeedFilter<'_>, limit: u16) -> (Vec<Event>, i64) {
    match read(conn, filter, limit).await.unwrap() {
        FeedPage::Events { events, next } => (events, next),
        other => panic!("{other:?}"),
    }
}

/// Everything there is to read, page by page.
async fn read_all(conn: &mut PgConnection, mut after: i64, limit: u16) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let filter = FeedFilter {
            after: Some(after),
            ..FeedFilter::default()
        };
        let (events, next) = page(conn, filter, limit).await;
        let is_last = events.len() < usize::from(limit);
        all.extend(events);
        after = next;
        if is_last {
            return all;
        }
    }
}

/// Type and record of each event.
fn told(events: &[Event]) -> Vec<(EventType, &str)> {
    events
        .iter()
        .map(|event| (event.event_type, event.merge_id.as_deref().unwrap_or("")))
        .collect()
}

#[tokio::test]
async fn each_change_is_told_once_and_nothing_else_is() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;

    let first = [
        record("a", "{}", false),
        record("b", "{}", false),
        record("gone", "{}", true),
    ];
    store(&mut conn, account_id, &first).await;
    store(&mut conn, account_id, &first).await;
    let second = [record("a", r#"{"v":1}"#, false), record("b", "{}", true)];
    store(&mut conn, account_id, &second).await;
    store(&mut conn, account_id, &[record("b", "{}", false)]).await;

    let mut events = read_all(&mut conn, 0, 100).await;
    assert_eq!(events.last().map(|event| event.position), Some(6));
    // The types of one page come in any order.
    events[..3].sort_by(|a, b| a.merge_id.cmp(&b.merge_id));
    events[3..5].sort_by(|a, b| a.merge_id.cmp(&b.merge_id));
    let expected = [
        (RecordCreated, "a"),
        (RecordCreated, "b"),
        (RecordDeleted, "gone"),
        (RecordUpdated, "a"),
        (RecordDeleted, "b"),
        (RecordCreated, "b"),
    ];
    assert_eq!(told(&events), expected);
}

#[tokio::test]
async fn a_record_missing_from_a_whole_walk_is_told_as_deleted() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;
    store(
        &mut conn,
        account_id,
        &[record("a", "{}", false), record("b", "{}", false)],
    )
    .await;

    let window = window(&mut conn, account_id, 0).await;
    fetch_windows::save_last_page(&mut conn, &window, &[record("b", "{}", false)])
        .await
        .unwrap();

    let events = read_all(&mut conn, 2, 100).await;
    let expected = [(RecordDeleted, "a"), (ModelSynced, "")];
    assert_eq!(told(&events), expected);
    assert_eq!(
        events[1].detail,
        Some(serde_json::json!({ "records": 1, "changed": 1 }))
    );
}

#[tokio::test]
async fn what_happens_to_an_account_is_told_once() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;
    let keyring = Keyring::random();
    let linked = Linked {
        merge_account_id: Some("m1"),
        merge_status: None,
        integration_name: None,
        integration_slug: None,
        account_token: &"token".to_owned().into(),
    };

    for _ in 0..2 {
        linked_accounts::link(&mut conn, &keyring, account_id, &linked)
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let status = AccountStatus::RelinkNeeded;
        linked_accounts::set_status(&mut conn, account_id, status, None)
            .await
            .unwrap();
    }
    linked_accounts::link(&mut conn, &keyring, account_id, &linked)
        .await
        .unwrap();

    let types: Vec<_> = read_all(&mut conn, 0, 100)
        .await
        .iter()
        .map(|event| event.event_type)
        .collect();
    assert_eq!(types, [AccountLinked, AccountRelinkNeeded, AccountLinked]);

    linked_accounts::delete(&mut conn, account_id)
        .await
        .unwrap();
    let left = read_all(&mut conn, 0, 100).await;
    assert_eq!(told(&left), [(AccountDeleted, "")], "all that is left");
    assert_eq!(left[0].position, 4);
}

#[tokio::test]
async fn an_event_whose_transaction_commits_late_is_not_skipped() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;

    let mut slow = database.pool().begin().await.unwrap();
    store(&mut slow, account_id, &[record("slow", "{}", false)]).await;
    store(&mut conn, account_id, &[record("fast", "{}", false)]).await;
    let (before, next) = page(&mut conn, FeedFilter::default(), 100).await;
    slow.commit().await.unwrap();
    let after = read_all(&mut conn, next, 100).await;

    assert_eq!(told(&before), [(RecordCreated, "fast")]);
    assert_eq!(told(&after), [(RecordCreated, "slow")]);
}

/// Writes pages of three records in transactions that overlap with others in every way; some roll back.
async fn write(pool: PgPool, account_id: AccountId, writer: usize) -> Vec<String> {
    let mut written = Vec::new();
    for round in 0..15 {
        let mut tx = pool.begin().await.unwrap();
        let keys: Vec<_> = (0..3)
            .map(|number| format!("{writer}/{round}/{number}"))
            .collect();
        let records: Vec<_> = keys.iter().map(|key| record(key, "{}", false)).collect();
        store(&mut tx, account_id, &records).await;
        for _ in 0..(writer * 7 + round * 3) % 5 {
            sqlx::query!("SELECT pg_sleep(0.0005)")
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        if round % 5 == 4 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
            written.extend(keys);
        }
    }
    written
}

#[tokio::test]
async fn with_writers_and_readers_at_once_every_reader_gets_everything_once_without_a_gap() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;
    let writers = TaskTracker::new();
    let writing: Vec<_> = (0..6)
        .map(|writer| writers.spawn(write(database.pool().clone(), account_id, writer)))
        .collect();
    writers.close();
    let readers = TaskTracker::new();
    let reading: Vec<_> = [1, 7, 100]
        .map(|limit| {
            let (pool, writers) = (database.pool().clone(), writers.clone());
            readers.spawn(async move {
                let mut conn = pool.acquire().await.unwrap();
                let mut got: Vec<Event> = Vec::new();
                loop {
                    let is_last = writers.is_empty();
                    let after = got.last().map_or(0, |last| last.position);
                    got.extend(read_all(&mut conn, after, limit).await);
                    if is_last {
                        return got;
                    }
                }
            })
        })
        .into();

    let mut written = Vec::new();
    for writer in writing {
        written.extend(writer.await.unwrap());
    }
    written.sort();
    for reader in reading {
        let got = reader.await.unwrap();
        let positions: Vec<_> = got.iter().map(|event| event.position).collect();
        let expected: Vec<_> = (1..).take(written.len()).collect();
        assert_eq!(positions, expected);
        let mut keys: Vec<_> = got
            .into_iter()
            .map(|event| event.merge_id.unwrap())
            .collect();
        keys.sort();
        assert_eq!(keys, written);
    }
}

#[tokio::test]
async fn an_organization_reads_its_own_events_only_and_gets_past_the_others() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let (own, other) = (
        account(&mut conn, "own").await,
        account(&mut conn, "other").await,
    );
    store(&mut conn, own, &[record("mine", "{}", false)]).await;
    let others = ["1", "2", "3"].map(|key| record(key, "{}", false));
    store(&mut conn, other, &others).await;

    let filter = FeedFilter {
        organization_id: Some("own"),
        ..FeedFilter::default()
    };
    let (events, next) = page(&mut conn, filter, 1).await;
    assert_eq!((told(&events), next), (vec![(RecordCreated, "mine")], 1));
    let filter = FeedFilter {
        after: Some(next),
        ..filter
    };
    let (events, next) = page(&mut conn, filter, 1).await;
    assert_eq!((events.len(), next), (0, 4));
}

#[tokio::test]
async fn a_reader_learns_that_events_were_forgotten_or_never_given() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = account(&mut conn, "acme").await;
    let day = Duration::from_hours(24);
    store(
        &mut conn,
        account_id,
        &[record("a", "{}", false), record("b", "{}", false)],
    )
    .await;
    let from = |after| FeedFilter {
        after,
        ..FeedFilter::default()
    };
    page(&mut conn, from(None), 1).await;
    assert_eq!(forget_old(&mut conn, day, 10).await.unwrap(), 0);
    sqlx::query!(
        "UPDATE syncline.events SET occurred_at = occurred_at - $1::interval",
        sqlx::postgres::types::PgInterval::try_from(TimeDelta::days(2)).unwrap()
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    store(&mut conn, account_id, &[record("c", "{}", false)]).await;

    assert_eq!(forget_old(&mut conn, day, 10).await.unwrap(), 1);

    let late = read(&mut conn, from(Some(1)), 10).await.unwrap();
    assert!(matches!(late, FeedPage::Forgotten), "{late:?}");
    let (events, next) = page(&mut conn, from(None), 10).await;
    assert_eq!((told(&events), next), (vec![(RecordCreated, "c")], 3));
    let (events, _) = page(&mut conn, from(Some(3)), 10).await;
    assert!(events.is_empty());
    let future = read(&mut conn, from(Some(4)), 10).await.unwrap();
    assert!(matches!(future, FeedPage::NeverGiven), "{future:?}");
}

#[test]
fn each_type_has_one_name() {
    for event_type in EventType::ALL {
        let shown = serde_json::to_value(event_type).unwrap();
        assert_eq!(shown, event_type.as_str());
        assert_eq!(EventType::parse(event_type.as_str()), Some(event_type));
    }
    assert_eq!(EventType::parse("record.moved"), None);
}
