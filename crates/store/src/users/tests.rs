use test_support::TestDatabase;

use super::*;
use crate::sessions::{self, Owner};

#[tokio::test]
async fn a_name_is_taken_once_and_free_again_when_its_user_is_gone() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();

    let first = add(&mut conn, "anna", Role::Operator, "hash")
        .await
        .unwrap();
    let second = add(&mut conn, "anna", Role::Admin, "other").await.unwrap();
    let listed = list(&mut conn).await.unwrap();
    let removed = remove(&mut conn, "anna").await.unwrap();

    assert!(first.is_some() && second.is_none());
    assert_eq!(
        (listed[0].id, listed[0].role),
        (first.unwrap(), Role::Operator)
    );
    assert!(removed && !remove(&mut conn, "anna").await.unwrap());
    assert!(credentials(&mut conn, "anna").await.unwrap().is_none());
}

#[tokio::test]
async fn another_password_ends_the_sessions_of_its_user_only() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let limits = sessions::Limits {
        idle: Duration::from_hours(1),
        total: Duration::from_hours(2),
    };
    for (name, token) in [("anna", [1; 32]), ("ben", [2; 32])] {
        let id = add(&mut conn, name, Role::Viewer, "old").await.unwrap();
        sessions::begin(&mut conn, &token, Owner::User(id.unwrap()))
            .await
            .unwrap();
    }

    assert!(set_password(&mut conn, "anna", "new").await.unwrap());
    assert!(!set_password(&mut conn, "nobody", "new").await.unwrap());

    let anna = credentials(&mut conn, "anna").await.unwrap().unwrap();
    assert_eq!(anna.password_hash, "new");
    let lives = async |conn: &mut PgConnection, token| {
        sessions::find(conn, &token, limits)
            .await
            .unwrap()
            .is_some()
    };
    assert!(!lives(&mut conn, [1; 32]).await);
    assert!(lives(&mut conn, [2; 32]).await);
}

#[tokio::test]
async fn a_name_that_fails_often_waits_ever_longer() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..12 {
        note_failed_login(&mut conn, "anna").await.unwrap();
        waits.push(login_wait(&mut conn, "anna").await.unwrap());
    }

    assert_eq!(waits[..4], [Duration::ZERO; 4]);
    assert!(waits[4] > Duration::ZERO && waits[4] <= Duration::from_secs(1));
    assert!(waits[11] > Duration::from_secs(50) && waits[11] <= Duration::from_mins(1));
    let other = login_wait(&mut conn, "ben").await.unwrap();
    assert_eq!(other, Duration::ZERO);

    let id = add(&mut conn, "anna", Role::Viewer, "hash").await.unwrap();
    note_login(&mut conn, id.unwrap()).await.unwrap();
    let after = login_wait(&mut conn, "anna").await.unwrap();
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test]
async fn failures_are_forgotten_after_a_while() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    for _ in 0..9 {
        note_failed_login(&mut conn, "anna").await.unwrap();
    }
    sqlx::query!(
        "UPDATE syncline.login_failures SET last_failed_at = now() - interval '16 minutes'"
    )
    .execute(&mut *conn)
    .await
    .unwrap();

    let waited = login_wait(&mut conn, "anna").await.unwrap();
    note_failed_login(&mut conn, "anna").await.unwrap();

    assert_eq!(waited, Duration::ZERO);
    let again = login_wait(&mut conn, "anna").await.unwrap();
    assert_eq!(again, Duration::ZERO, "it counts from one again");
}
