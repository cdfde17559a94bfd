use test_support::TestDatabase;

use super::*;

fn judged(verdict: Verdict) -> Judgement<'static> {
    Judgement {
        verdict,
        detail: None,
        event: None,
        merge_account_id: None,
        account_id: None,
    }
}

async fn keep(conn: &mut PgConnection, keyring: &Keyring, body: &[u8]) -> (NewDelivery, bool) {
    let delivery = NewDelivery::seal(keyring, body, 0).unwrap();
    let is_news = insert(conn, &delivery).await.unwrap();
    (delivery, is_news)
}

#[tokio::test]
async fn a_delivery_waits_until_it_is_judged() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let (delivery, is_news) = keep(&mut conn, &keyring, b"{}").await;
    assert!(is_news);

    let read = waiting(&mut conn, &keyring, delivery.shard(), 10)
        .await
        .unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].bytes(), Some(&b"{}"[..]));
    assert_eq!(waiting_shards(&mut conn).await.unwrap(), [delivery.shard()]);

    judge(&mut conn, delivery.id(), &judged(Verdict::Processed))
        .await
        .unwrap();
    assert!(
        waiting(&mut conn, &keyring, delivery.shard(), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(waiting_shards(&mut conn).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_twin_of_one_that_waits_is_put_aside() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();

    let (first, _) = keep(&mut conn, &keyring, b"same").await;
    let (_, is_news) = keep(&mut conn, &keyring, b"same").await;
    let (_, is_news_again) = keep(&mut conn, &keyring, b"same").await;

    assert!(!is_news && !is_news_again);
    let read = waiting(&mut conn, &keyring, first.shard(), 10)
        .await
        .unwrap();
    assert_eq!(read.len(), 1);
}

#[tokio::test]
async fn a_twin_of_one_that_was_processed_is_looked_at_again() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    for (verdict, was_processed) in [(Verdict::Processed, true), (Verdict::UnknownAccount, false)] {
        let body = format!("{verdict:?}");
        let (first, _) = keep(&mut conn, &keyring, body.as_bytes()).await;
        judge(&mut conn, first.id(), &judged(verdict))
            .await
            .unwrap();

        let (second, is_news) = keep(&mut conn, &keyring, body.as_bytes()).await;

        assert!(is_news);
        let read = waiting(&mut conn, &keyring, second.shard(), 10)
            .await
            .unwrap();
        assert_eq!(read[0].twin_was_processed, was_processed);
        judge(&mut conn, second.id(), &judged(Verdict::Ignored))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_body_whose_key_is_gone_does_not_block_the_others() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let (delivery, _) = keep(&mut conn, &Keyring::random(), b"{}").await;

    let read = waiting(&mut conn, &keyring, delivery.shard(), 10)
        .await
        .unwrap();

    assert_eq!(read.len(), 1);
    assert!(read[0].bytes().is_none());
}

#[tokio::test]
async fn deliveries_of_an_account_are_deleted_with_their_twins() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let account_id = AccountId::new();
    let (delivery, _) = keep(&mut conn, &keyring, b"mine").await;
    keep(&mut conn, &keyring, b"mine").await;
    keep(&mut conn, &keyring, b"another's").await;
    let judgement = Judgement {
        account_id: Some(account_id),
        ..judged(Verdict::Processed)
    };
    judge(&mut conn, delivery.id(), &judgement).await.unwrap();

    assert_eq!(delete_of_account(&mut conn, account_id).await.unwrap(), 2);
}

#[tokio::test]
async fn only_judged_deliveries_grow_old() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let (old, _) = keep(&mut conn, &keyring, b"old").await;
    keep(&mut conn, &keyring, b"waiting").await;
    judge(&mut conn, old.id(), &judged(Verdict::Processed))
        .await
        .unwrap();

    assert_eq!(
        delete_judged(&mut conn, Duration::from_mins(1), 10)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        delete_judged(&mut conn, Duration::ZERO, 10).await.unwrap(),
        1
    );
}
