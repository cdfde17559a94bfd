use sqlx::PgPool;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use test_support::TestDatabase;
use uuid::Uuid;

use super::*;
use crate::Keyring;

fn judged(verdict: Verdict) -> Judgement<'static> {
    Judgement {
        verdict,
        detail: None,
        duplicate_of: None,
        event: None,
        merge_account_id: None,
        account_id: None,
        job_ids: Vec::new(),
    }
}

/// A database, a connection to it, and a key.
struct Bench {
    conn: PoolConnection<Postgres>,
    keyring: Keyring,
    database: TestDatabase,
}

impl Bench {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        Self {
            conn: database.pool().acquire().await.unwrap(),
            keyring: Keyring::random(),
            database,
        }
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Keeps a delivery; its id and shard.
    async fn keep(&mut self, body: &[u8]) -> (DeliveryId, u32) {
        let delivery = NewDelivery::seal(&self.keyring, body, "secret").unwrap();
        let (id, shard) = (delivery.id(), delivery.shard());
        insert(&mut self.conn, vec![delivery]).await.unwrap();
        (id, shard)
    }

    async fn waiting(&mut self, shard: u32) -> Vec<Delivery> {
        waiting(&mut self.conn, &self.keyring, shard, 100)
            .await
            .unwrap()
    }

    /// Judges all that waits in a shard.
    async fn judge(&mut self, shard: u32, judgement: Judgement<'_>) {
        let waiting = self.waiting(shard).await;
        let judged: Vec<_> = waiting
            .iter()
            .map(|delivery| (delivery, judgement.clone()))
            .collect();
        judge(&mut self.conn, &judged).await.unwrap();
    }

    async fn find(&mut self, id: DeliveryId) -> DeliveryView {
        find(&mut self.conn, id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_delivery_waits_until_it_is_judged() {
    let mut bench = Bench::new().await;
    let (id, shard) = bench.keep(b"{}").await;

    let read = bench.waiting(shard).await;
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].bytes(), Some(&b"{}"[..]));
    assert_eq!(waiting_shards(&mut bench.conn).await.unwrap(), [shard]);

    let (account_id, job_id) = (AccountId::new(), Uuid::now_v7());
    let judgement = Judgement {
        detail: Some("as told"),
        event: Some("a\0b"),
        merge_account_id: Some("m"),
        account_id: Some(account_id),
        job_ids: vec![job_id],
        ..judged(Verdict::Processed)
    };
    bench.judge(shard, judgement).await;

    assert!(bench.waiting(shard).await.is_empty());
    assert!(waiting_shards(&mut bench.conn).await.unwrap().is_empty());
    let view = bench.find(id).await;
    assert_eq!(view.verdict, Verdict::Processed);
    assert_eq!(view.verdict_detail.as_deref(), Some("as told"));
    assert_eq!(view.event.as_deref(), Some("a\u{FFFD}b"));
    assert_eq!(view.account_id, Some(account_id));
    assert_eq!(view.job_ids, Some(vec![job_id]));
    assert!(view.processed_at >= Some(view.received_at));
}

#[tokio::test]
async fn many_are_kept_by_one_statement_and_read_oldest_first() {
    let mut bench = Bench::new().await;
    let many: Vec<NewDelivery> = (0..50)
        .map(|number| {
            let body = format!("{number}");
            NewDelivery::seal(&bench.keyring, body.as_bytes(), "secret").unwrap()
        })
        .collect();
    let of_shard: Vec<DeliveryId> = many
        .iter()
        .filter(|delivery| delivery.shard() == 3)
        .map(NewDelivery::id)
        .collect();

    insert(&mut bench.conn, many).await.unwrap();

    let read: Vec<_> = bench.waiting(3).await.iter().map(|one| one.id).collect();
    assert!(!read.is_empty());
    assert_eq!(read, of_shard);
}

#[tokio::test]
async fn large_bodies_are_not_all_read_at_once() {
    let mut bench = Bench::new().await;
    let many: Vec<NewDelivery> = (0..64)
        .map(|number| {
            let body = format!("{number:1000}");
            NewDelivery::seal(&bench.keyring, body.as_bytes(), "secret").unwrap()
        })
        .collect();
    insert(&mut bench.conn, many).await.unwrap();

    for (bytes, expected) in [(1, 1), (1_500, 2), (2_500, 3)] {
        let read = judging::waiting_up_to(&mut bench.conn, &bench.keyring, 0, 100, bytes);
        assert_eq!(read.await.unwrap().len(), expected, "{bytes}");
    }
}

#[tokio::test]
async fn only_a_twin_that_was_acted_on_counts() {
    let mut bench = Bench::new().await;
    for (verdict, counts) in [(Verdict::Processed, true), (Verdict::UnknownAccount, false)] {
        let body = format!("{verdict:?}");
        let account_id = AccountId::new();
        let (first, shard) = bench.keep(body.as_bytes()).await;
        let judgement = Judgement {
            account_id: Some(account_id),
            ..judged(verdict)
        };
        bench.judge(shard, judgement).await;

        bench.keep(body.as_bytes()).await;

        let twin = Twin {
            id: first,
            account_id: Some(account_id),
        };
        let read = bench.waiting(shard).await;
        assert_eq!(read[0].twin, counts.then_some(twin), "{verdict:?}");
        bench.judge(shard, judged(Verdict::Ignored)).await;
    }
}

#[tokio::test]
async fn a_body_whose_key_is_gone_does_not_block_the_others() {
    let mut bench = Bench::new().await;
    let (_, shard) = bench.keep(b"{}").await;
    bench.keyring = Keyring::random();

    let read = bench.waiting(shard).await;

    assert_eq!(read.len(), 1);
    assert!(read[0].bytes().is_none());
}

#[tokio::test]
async fn what_was_parked_waits_again_once_its_account_is_linked() {
    let mut bench = Bench::new().await;
    let account_id = AccountId::new();
    let parked = Judgement {
        account_id: Some(account_id),
        ..judged(Verdict::Parked)
    };
    let unknown = Judgement {
        merge_account_id: Some("m"),
        ..judged(Verdict::UnknownAccount)
    };
    let other = Judgement {
        merge_account_id: Some("other"),
        ..judged(Verdict::UnknownAccount)
    };
    let mut ids = Vec::new();
    for (body, judgement) in [("one", parked), ("two", unknown), ("three", other)] {
        let (id, shard) = bench.keep(body.as_bytes()).await;
        bench.judge(shard, judgement).await;
        ids.push((id, shard));
    }

    let shards = unpark(&mut bench.conn, account_id, Some("m"))
        .await
        .unwrap();

    let mut expected = vec![ids[0].1, ids[1].1];
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(shards, expected);
    let verdicts = [
        bench.find(ids[0].0).await.verdict,
        bench.find(ids[1].0).await.verdict,
        bench.find(ids[2].0).await.verdict,
    ];
    assert_eq!(
        verdicts,
        [
            Verdict::Received,
            Verdict::Received,
            Verdict::UnknownAccount
        ]
    );
}

#[tokio::test]
async fn deliveries_of_an_account_are_deleted() {
    let mut bench = Bench::new().await;
    let account_id = AccountId::new();
    let (_, shard) = bench.keep(b"mine").await;
    let judgement = Judgement {
        account_id: Some(account_id),
        ..judged(Verdict::Processed)
    };
    bench.judge(shard, judgement).await;
    bench.keep(b"another's").await;

    let deleted = delete_of_account(&mut bench.conn, account_id).await;

    assert_eq!(deleted.unwrap(), 1);
}

#[tokio::test]
async fn replayed_deliveries_wait_again_and_say_so() {
    let mut bench = Bench::new().await;
    let (id, shard) = bench.keep(b"one").await;
    let nothing = Replayed::default();
    assert_eq!(replay(&mut bench.conn, id).await.unwrap(), nothing);
    bench.judge(shard, judged(Verdict::Processed)).await;

    let replayed = replay(&mut bench.conn, id).await.unwrap();

    assert_eq!((replayed.deliveries, replayed.shards), (1, vec![shard]));
    assert!(bench.waiting(shard).await[0].is_replay);
    assert_eq!(bench.find(id).await.replays, 1);
}

#[tokio::test]
async fn a_range_is_replayed_batch_by_batch() {
    let mut bench = Bench::new().await;
    for number in 0..5 {
        let (_, shard) = bench.keep(format!("{number}").as_bytes()).await;
        let verdict = if number == 0 {
            Verdict::Ignored
        } else {
            Verdict::Processed
        };
        bench.judge(shard, judged(verdict)).await;
    }
    let filter = DeliveryFilter {
        verdict: Some(Verdict::Processed),
        ..DeliveryFilter::default()
    };

    let (mut counts, mut last) = (Vec::new(), None);
    loop {
        let replayed = replay_between(&mut bench.conn, &filter, last, 3).await;
        let replayed = replayed.unwrap();
        last = replayed.last;
        counts.push(replayed.deliveries);
        if last.is_none() {
            break;
        }
    }

    assert_eq!(counts, [3, 1, 0]);
    let filter = DeliveryFilter {
        verdict: Some(Verdict::Received),
        ..DeliveryFilter::default()
    };
    let waiting = list(&mut bench.conn, &filter, None, 10).await.unwrap();
    assert_eq!(waiting.len(), 4);
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_and_counted() {
    let mut bench = Bench::new().await;
    let (first, shard) = bench.keep(b"one").await;
    let judgement = Judgement {
        event: Some("Employee.synced"),
        ..judged(Verdict::Processed)
    };
    bench.judge(shard, judgement).await;
    let (second, _) = bench.keep(b"two").await;

    let filter = DeliveryFilter::default();
    let page = list(&mut bench.conn, &filter, None, 1).await.unwrap();
    assert_eq!(page[0].id, second);
    let page = list(&mut bench.conn, &filter, Some(second), 10)
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].id, first);
    let tallies = tally(&mut bench.conn, Duration::from_mins(1))
        .await
        .unwrap();
    let counted: Vec<_> = tallies
        .iter()
        .map(|tally| (tally.event.as_deref(), tally.verdict, tally.deliveries))
        .collect();
    assert_eq!(
        counted,
        [
            (None, Verdict::Received, 1),
            (Some("Employee.synced"), Verdict::Processed, 1)
        ]
    );
    let used = secrets(&mut bench.conn).await.unwrap();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].id, "secret");
    let body = open_body(&mut bench.conn, &bench.keyring, second)
        .await
        .unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&body.unwrap()), b"two");
}

#[tokio::test]
async fn days_are_dropped_whole_unless_something_in_them_waits() {
    let mut bench = Bench::new().await;
    let (judged_one, shard) = bench.keep(b"judged").await;
    bench.judge(shard, judged(Verdict::Processed)).await;
    let (waiting_one, _) = bench.keep(b"waiting").await;
    for (id, days) in [(judged_one, 40), (waiting_one, 50)] {
        age(bench.pool(), id, days).await;
    }
    let keep = Duration::from_hours(30 * 24);

    assert_eq!(drop_old(&mut bench.conn, keep).await.unwrap(), 1);

    let gone = find(&mut bench.conn, judged_one).await.unwrap();
    assert!(gone.is_none());
    assert_eq!(bench.find(waiting_one).await.verdict, Verdict::Received);
    assert_eq!(drop_old(&mut bench.conn, keep).await.unwrap(), 0);
}

/// Moves a delivery so many days into the past, where a partition is made for it.
async fn age(pool: &PgPool, id: DeliveryId, days: i32) {
    sqlx::query_scalar!(
        r#"
        SELECT syncline.ensure_delivery_partitions(
            (now() AT TIME ZONE 'UTC')::date - $1::integer, -$1::integer
        )::text AS made
        "#,
        days
    )
    .fetch_one(pool)
    .await
    .unwrap();
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_deliveries
        SET received_at = received_at - make_interval(days => $2)
        WHERE id = $1
        "#,
        id as DeliveryId,
        days
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn the_delivery_that_waits_longest_is_known() {
    let mut bench = Bench::new().await;
    let nothing = waiting_since(&mut bench.conn).await.unwrap();
    let (first, shard) = bench.keep(b"first").await;
    bench.keep(b"second").await;

    let since = waiting_since(&mut bench.conn).await.unwrap();
    let first = find(&mut bench.conn, first).await.unwrap().unwrap();
    bench.judge(shard, judged(Verdict::Ignored)).await;
    let later = waiting_since(&mut bench.conn).await.unwrap();

    assert_eq!((nothing, since), (None, Some(first.received_at)));
    assert!(later > since || later.is_none());
}
