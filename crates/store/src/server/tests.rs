use test_support::TestDatabase;

use super::*;

#[tokio::test]
async fn the_list_of_indexes_is_that_of_the_migrations() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();

    let there = indexes(&mut conn).await.unwrap();

    let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
    let list = names.join("\n") + "\n";
    if list != INDEXES {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/indexes.txt");
        std::fs::write(file, &list).unwrap();
        panic!("a migration changed the indexes, so {file} was written anew: commit it");
    }
    assert!(there.iter().all(|(_, is_valid)| *is_valid));
    assert_eq!(check_indexes(&mut conn).await.unwrap(), Indexes::default());
}

#[tokio::test]
async fn an_index_that_is_gone_or_was_never_finished_is_named() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    sqlx::query!("DROP INDEX syncline.linked_accounts_next_poll")
        .execute(&mut *conn)
        .await
        .unwrap();
    // As one that CONCURRENTLY could not finish.
    sqlx::query!(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'syncline.api_keys_pkey'::regclass"
    )
    .execute(&mut *conn)
    .await
    .unwrap();

    let found = check_indexes(&mut conn).await.unwrap();

    assert_eq!(found.missing, ["linked_accounts.linked_accounts_next_poll"]);
    assert_eq!(found.invalid, ["api_keys.api_keys_pkey"]);
}

#[tokio::test]
async fn partitions_are_counted_up_to_the_first_that_is_missing() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let days = async |conn: &mut PgConnection| -> Vec<i32> {
        let tables = partitions(conn).await.unwrap();
        tables.iter().map(|table| table.days).collect()
    };
    let before = days(&mut conn).await;
    assert!(
        before.len() >= 3 && before.iter().all(|days| *days >= 2),
        "{before:?}"
    );

    sqlx::query!(
        r#"
        DO $$ BEGIN
            EXECUTE format('DROP TABLE syncline.%I',
                'job_history_' || to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD'));
        END $$
        "#
    )
    .execute(&mut *conn)
    .await
    .unwrap();

    assert!(days(&mut conn).await.contains(&1));
}

#[tokio::test]
async fn an_open_transaction_is_seen() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let open = |holders: &[Holder]| {
        holders
            .iter()
            .filter(|holder| holder.what == "transaction")
            .count()
    };
    let before = open(&holders(&mut conn).await.unwrap());

    let mut tx = database.pool().begin().await.unwrap();
    sqlx::query!("SELECT FROM syncline.jobs")
        .fetch_optional(&mut *tx)
        .await
        .unwrap();

    let seen = holders(&mut conn).await.unwrap();
    assert_eq!(open(&seen), before + 1, "{seen:?}");
    tx.rollback().await.unwrap();
}
