use test_support::TestDatabase;

use super::*;
use crate::model_records::RecordFilter;
use crate::model_syncs::{self, Observation};

const MODEL: &str = "hris.Employee";
const OPENING: Opening = Opening {
    overlap: Duration::from_mins(2),
    has_modified_filter: true,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

fn record(merge_id: &str) -> NewRecord<'_> {
    NewRecord {
        merge_id,
        remote_id: None,
        data: "{}",
        modified_at: Some(at(0)),
        created_at: None,
        is_deleted: false,
    }
}

async fn mark(conn: &mut PgConnection, account_id: AccountId, seconds: i64) {
    let observation = Observation {
        model_id: MODEL.to_owned(),
        ready_through: Some(at(seconds)),
        ..Observation::default()
    };
    model_syncs::observe(conn, account_id, &[observation])
        .await
        .unwrap();
}

async fn open(conn: &mut PgConnection, account_id: AccountId, opening: Opening) -> Window {
    resume_or_open(conn, account_id, MODEL, opening)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_window_is_walked_and_moves_the_watermark_with_its_last_page() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;

    let mut window = open(&mut conn, account_id, OPENING).await;
    save_page(&mut conn, &mut window, &[record("a")], "c1")
        .await
        .unwrap();
    let before = model_syncs::list(&mut conn, account_id).await.unwrap();
    let closed = save_last_page(&mut conn, &window, &[record("b")])
        .await
        .unwrap();

    assert_eq!(before[0].fetched_through, None);
    assert_eq!(
        closed,
        Closed {
            counts: Counts {
                inserted: 1,
                ..Counts::default()
            },
            absent: 0,
            is_due_again: false,
            leaves_gap: false,
        }
    );
    let after = model_syncs::list(&mut conn, account_id).await.unwrap();
    assert_eq!(after[0].fetched_through, Some(at(100)));
    assert_eq!(after[0].merge_last_sync_finished, Some(at(100)));
    assert_eq!(after[0].records, 2);
    assert!(after[0].last_synced_at < after[0].last_fetched_at);
    assert_eq!(
        resume_or_open(&mut conn, account_id, MODEL, OPENING)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_window_that_begins_after_the_watermark_leaves_a_gap() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 1000).await;
    let first = open(&mut conn, account_id, OPENING).await;
    let first = save_last_page(&mut conn, &first, &[]).await.unwrap();
    mark(&mut conn, account_id, 2000).await;
    let mut next = open(&mut conn, account_id, OPENING).await;

    next.modified_after = Some(at(1001));
    let next = save_last_page(&mut conn, &next, &[]).await.unwrap();

    assert_eq!((first.leaves_gap, next.leaves_gap), (false, true));
}

#[tokio::test]
async fn an_open_window_is_resumed_at_its_page_with_its_own_bounds() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;
    let mut window = open(&mut conn, account_id, OPENING).await;
    save_page(&mut conn, &mut window, &[record("a")], "c1")
        .await
        .unwrap();

    mark(&mut conn, account_id, 200).await;
    let resumed = open(&mut conn, account_id, OPENING).await;

    assert_eq!(resumed, window);
    assert_eq!((resumed.cursor.as_deref(), resumed.pages), (Some("c1"), 1));
    let closed = save_last_page(&mut conn, &resumed, &[]).await.unwrap();
    assert!(closed.is_due_again);
    let next = open(&mut conn, account_id, OPENING).await;
    assert_eq!(next.modified_after, Some(at(100 - 120)));
    assert_eq!(next.modified_before, Some(at(200)));
}

#[tokio::test]
async fn a_page_is_stored_once() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;
    let mut window = open(&mut conn, account_id, OPENING).await;
    let mut stale = window.clone();
    save_page(&mut conn, &mut window, &[record("a")], "c1")
        .await
        .unwrap();

    let last = save_last_page(&mut conn, &stale, &[record("a")]).await;
    let again = save_page(&mut conn, &mut stale, &[record("a")], "c1").await;

    assert!(matches!(again, Err(Error::WindowNotOpen { .. })));
    assert!(matches!(last, Err(Error::WindowNotOpen { .. })));
}

#[tokio::test]
async fn a_restarted_window_begins_at_its_first_page() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;
    let mut window = open(&mut conn, account_id, OPENING).await;
    save_page(&mut conn, &mut window, &[record("a")], "c1")
        .await
        .unwrap();

    restart(&mut conn, &mut window).await.unwrap();

    assert_eq!(open(&mut conn, account_id, OPENING).await, window);
    assert_eq!(
        (window.cursor.as_deref(), window.pages, window.restarts),
        (None, 0, 1)
    );
}

#[tokio::test]
async fn an_abandoned_window_leaves_the_watermark() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;
    let window = open(&mut conn, account_id, OPENING).await;

    abandon(&mut conn, &window).await.unwrap();

    assert!(matches!(
        save_last_page(&mut conn, &window, &[]).await,
        Err(Error::WindowNotOpen { .. })
    ));
    let models = model_syncs::list(&mut conn, account_id).await.unwrap();
    assert_eq!(models[0].fetched_through, None);
}

#[tokio::test]
async fn what_a_whole_walk_does_not_meet_is_deleted() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    let whole = Opening {
        has_modified_filter: false,
        ..OPENING
    };
    mark(&mut conn, account_id, 100).await;
    let window = open(&mut conn, account_id, whole).await;
    let records = [record("a"), record("b"), record("b")];
    let closed = save_last_page(&mut conn, &window, &records).await.unwrap();
    assert_eq!(closed.absent, 0);

    mark(&mut conn, account_id, 200).await;
    let mut window = open(&mut conn, account_id, whole).await;
    // A walk that began again forgets what it met before.
    save_page(&mut conn, &mut window, &[record("a")], "c1")
        .await
        .unwrap();
    restart(&mut conn, &mut window).await.unwrap();
    let closed = save_last_page(&mut conn, &window, &[record("b")])
        .await
        .unwrap();

    assert_eq!(closed.absent, 1);
    let left = crate::model_records::list(&mut conn, &everything(account_id, false), 10).await;
    assert!(left.unwrap().is_empty(), "no such account, no records");
    let deleted = sqlx::query_scalar!(
        "SELECT merge_id FROM syncline.model_records WHERE account_id = $1 AND is_deleted",
        account_id as AccountId
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    assert_eq!(deleted, ["a"]);
    let sightings = sqlx::query_scalar!("SELECT count(*) FROM syncline.window_sightings")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(sightings, Some(0));
}

fn everything(account_id: AccountId, include_deleted: bool) -> RecordFilter<'static> {
    RecordFilter {
        account_id,
        organization_id: None,
        model_id: MODEL,
        changed_after: None,
        include_deleted,
        after: None,
    }
}

#[tokio::test]
async fn nothing_is_stored_once_the_models_are_deleted() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    mark(&mut conn, account_id, 100).await;
    let window = open(&mut conn, account_id, OPENING).await;

    model_syncs::delete_all(&mut conn, account_id)
        .await
        .unwrap();
    delete_all(&mut conn, account_id).await.unwrap();

    let saved = save_last_page(&mut conn, &window, &[record("a")]).await;
    assert!(matches!(saved, Err(Error::AccountGone(_))));
    let opened = resume_or_open(&mut conn, account_id, MODEL, OPENING).await;
    assert!(matches!(opened, Err(Error::AccountGone(_))));
}

#[tokio::test]
async fn old_windows_are_merged_and_prove_the_same() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account_id = AccountId::new();
    let total: i32 = 230;

    for number in 1..=total {
        mark(&mut conn, account_id, i64::from(number) * 1000).await;
        let window = open(&mut conn, account_id, OPENING).await;
        save_last_page(&mut conn, &window, &[record("a")])
            .await
            .unwrap();
    }

    let windows = closed(&mut conn, account_id, MODEL, None, 1000)
        .await
        .unwrap();
    assert!(windows.len() <= 100, "{}", windows.len());
    assert_eq!(windows[0].extent, Extent::First);
    let records: i64 = windows.iter().map(|window| window.records).sum();
    assert_eq!(records, i64::from(total), "{windows:?}");
    let through = at(i64::from(total) * 1000);
    let verdict = |windows: &[ClosedWindow]| {
        let mut chain = Chain::default();
        for window in windows {
            chain.push(window);
        }
        chain.verdict(Some(through))
    };
    let contiguous = Verdict::Contiguous {
        since: windows[0].started_at,
        through,
        windows: total,
    };
    assert_eq!(verdict(&windows), contiguous);
    let gap = matches!(verdict(&windows[1..]), Verdict::Gap { .. });
    assert!(gap, "the merged one carries the proof");
}
