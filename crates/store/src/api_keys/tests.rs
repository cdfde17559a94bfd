use test_support::TestDatabase;

use super::*;

fn new_key(hash: u8) -> NewApiKey<'static> {
    NewApiKey {
        name: "product",
        prefix: "sk_1234",
        key_hash: [hash; 32],
        scopes: &[],
        organization_id: Some("acme"),
        expires_at: None,
    }
}

#[tokio::test]
async fn a_key_is_found_by_its_hash() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let scopes = ["accounts:read".to_owned(), "link".to_owned()];
    let id = create(
        &mut conn,
        &NewApiKey {
            scopes: &scopes,
            ..new_key(1)
        },
    )
    .await
    .unwrap();

    let found = find_valid(&mut conn, &[1; 32]).await.unwrap().unwrap();

    assert_eq!((found.id, found.scopes), (id, scopes.to_vec()));
    assert_eq!(found.organization_id.as_deref(), Some("acme"));
    assert!(find_valid(&mut conn, &[2; 32]).await.unwrap().is_none());
}

#[tokio::test]
async fn revoked_and_expired_keys_are_not_valid() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let revoked = create(&mut conn, &new_key(1)).await.unwrap();
    let expired = NewApiKey {
        expires_at: DateTime::from_timestamp(0, 0),
        ..new_key(2)
    };
    create(&mut conn, &expired).await.unwrap();

    assert!(revoke(&mut conn, revoked).await.unwrap());
    assert!(
        revoke(&mut conn, revoked).await.unwrap(),
        "again is no error"
    );
    assert!(!revoke(&mut conn, ApiKeyId::new()).await.unwrap());

    assert!(find_valid(&mut conn, &[1; 32]).await.unwrap().is_none());
    assert!(find_valid(&mut conn, &[2; 32]).await.unwrap().is_none());
    assert_eq!(list(&mut conn, None, 10).await.unwrap().len(), 2);
    assert_eq!(list(&mut conn, Some(revoked), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn use_is_noted_rarely() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let id = create(&mut conn, &new_key(1)).await.unwrap();

    touch(&mut conn, id).await.unwrap();
    let first = find_valid(&mut conn, &[1; 32])
        .await
        .unwrap()
        .unwrap()
        .last_used_at;
    touch(&mut conn, id).await.unwrap();
    let second = find_valid(&mut conn, &[1; 32])
        .await
        .unwrap()
        .unwrap()
        .last_used_at;

    assert!(first.is_some());
    assert_eq!(first, second);
}
