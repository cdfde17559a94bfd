use test_support::TestDatabase;

use super::*;
use crate::api_keys::{self, NewApiKey};
use crate::users;

const LIMITS: Limits = Limits {
    idle: Duration::from_hours(12),
    total: Duration::from_hours(7 * 24),
};
const TOKEN: [u8; 32] = [7; 32];

async fn of_user(conn: &mut PgConnection) {
    let id = users::add(conn, "anna", Role::Operator, "hash")
        .await
        .unwrap();
    begin(conn, &TOKEN, Owner::User(id.unwrap())).await.unwrap();
}

async fn holder(conn: &mut PgConnection) -> Option<Holder> {
    let session = find(conn, &TOKEN, LIMITS).await.unwrap();
    session.map(|session| session.holder)
}

/// Lets time pass for the session.
async fn pass(conn: &mut PgConnection, since_begin: i32, since_use: i32) {
    sqlx::query!(
        r#"
        UPDATE syncline.sessions
        SET created_at = now() - make_interval(hours => $1), last_seen_at = now() - make_interval(hours => $2)
        "#,
        since_begin,
        since_use
    )
    .execute(conn)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_session_knows_what_its_user_may_do_now() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    of_user(&mut conn).await;

    let before = holder(&mut conn).await;
    sqlx::query!("UPDATE syncline.users SET role = 'viewer'")
        .execute(&mut *conn)
        .await
        .unwrap();
    let after = holder(&mut conn).await;
    users::remove(&mut conn, "anna").await.unwrap();

    let anna = |role| {
        Some(Holder::User {
            name: "anna".to_owned(),
            role,
        })
    };
    assert_eq!(before, anna(Role::Operator));
    assert_eq!(after, anna(Role::Viewer));
    assert_eq!(holder(&mut conn).await, None);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_or_too_old() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    of_user(&mut conn).await;

    for (since_begin, since_use, lives) in [
        (100, 11, true),
        (100, 13, false),
        (167, 0, true),
        (169, 0, false),
    ] {
        pass(&mut conn, since_begin, since_use).await;
        assert_eq!(
            holder(&mut conn).await.is_some(),
            lives,
            "{since_begin} {since_use}"
        );
    }
    assert_eq!(delete_over(&mut conn, LIMITS).await.unwrap(), 1);
}

#[tokio::test]
async fn use_keeps_a_session_alive() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    of_user(&mut conn).await;
    pass(&mut conn, 20, 11).await;

    holder(&mut conn).await;

    let seen = sqlx::query_scalar!(
        r#"SELECT last_seen_at > now() - interval '1 minute' AS "seen!" FROM syncline.sessions"#
    );
    assert!(seen.fetch_one(&mut *conn).await.unwrap());
}

#[tokio::test]
async fn a_revoked_key_ends_its_session() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let scopes = ["read".to_owned()];
    let new = NewApiKey {
        name: "board",
        prefix: "sl_12345678",
        key_hash: [1; 32],
        scopes: &scopes,
        organization_id: None,
        expires_at: None,
    };
    let key = api_keys::create(&mut conn, &new).await.unwrap();
    begin(&mut conn, &TOKEN, Owner::Key(key)).await.unwrap();

    let before = holder(&mut conn).await;
    api_keys::revoke(&mut conn, key).await.unwrap();

    let expected = Holder::Key {
        name: "board".to_owned(),
        prefix: "sl_12345678".to_owned(),
        scopes: scopes.to_vec(),
    };
    assert_eq!(before, Some(expected));
    assert_eq!(holder(&mut conn).await, None);
}

#[tokio::test]
async fn a_session_is_told_something_once_and_ends() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    begin(&mut conn, &TOKEN, Owner::Bootstrap([9; 32]))
        .await
        .unwrap();

    set_notice(&mut conn, &TOKEN, Some("done")).await.unwrap();
    let told = find(&mut conn, &TOKEN, LIMITS).await.unwrap().unwrap();
    end(&mut conn, &TOKEN).await.unwrap();

    assert_eq!(told.notice.as_deref(), Some("done"));
    assert_eq!(told.holder, Holder::Bootstrap([9; 32]));
    assert_eq!(holder(&mut conn).await, None);
}
