use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use test_support::TestDatabase;

use super::*;
use crate::Keyring;

const FIVE_DAYS: Duration = Duration::from_hours(5 * 24);

async fn endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    organization_id: Option<&str>,
    event_types: Option<&[String]>,
) -> Endpoint {
    let new = NewEndpoint {
        organization_id,
        url: "https://hooks.example/in",
        description: None,
        event_types,
        secret: b"first",
    };
    create(conn, keyring, &new).await.unwrap().unwrap()
}

/// Puts an event into the feed, at its end.
async fn event(conn: &mut PgConnection, event_type: &str, organization_id: &str) {
    sqlx::query!(
        r#"
        INSERT INTO syncline.events (type, organization_id, account_id)
        VALUES ($1, $2, gen_random_uuid())
        "#,
        event_type,
        organization_id
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    while crate::events::place(conn).await.unwrap() {}
}

async fn secrets_of(conn: &mut PgConnection, keyring: &Keyring, id: EndpointId) -> Vec<Vec<u8>> {
    let opened = open(conn, keyring, id).await.unwrap().unwrap();
    let secrets = opened.secrets.iter();
    secrets
        .map(|secret| secret.expose_secret().to_vec())
        .collect()
}

async fn due_ids(conn: &mut PgConnection) -> Vec<EndpointId> {
    due(conn)
        .await
        .unwrap()
        .into_iter()
        .map(|due| due.id)
        .collect()
}

/// Lets the time pass that an endpoint has been failing for.
async fn advance(pool: &PgPool, time: Duration) {
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET failing_since = failing_since - make_interval(secs => $1),
            retry_at = retry_at - make_interval(secs => $1)
        "#,
        time.as_secs_f64()
    )
    .execute(pool)
    .await
    .unwrap();
}

const FAILED: Failed<'_> = Failed {
    job_id: uuid::Uuid::nil(),
    status: Some(500),
    error: "it answered 500",
    retry_after: Duration::from_mins(1),
    is_gone: false,
};

#[tokio::test]
async fn two_secrets_are_active_until_the_old_one_is_removed() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    let id = endpoint(&mut conn, &keyring, Some("org_1"), None).await.id;
    assert_eq!(secrets_of(&mut conn, &keyring, id).await, [b"first"]);
    let nothing = retire_secret(&mut conn, id, None).await.unwrap();
    assert!(matches!(nothing, Retired::Nothing));

    let rotated = rotate_secret(&mut conn, &keyring, id, None, b"second").await;
    assert!(matches!(rotated.unwrap(), Rotated::Done(endpoint) if endpoint.has_old_secret));
    assert_eq!(
        secrets_of(&mut conn, &keyring, id).await,
        [&b"second"[..], b"first"]
    );
    // A third would throw away one that may be in use.
    let third = rotate_secret(&mut conn, &keyring, id, None, b"third").await;
    assert!(matches!(third.unwrap(), Rotated::HasOld));

    let retired = retire_secret(&mut conn, id, None).await.unwrap();
    assert!(matches!(retired, Retired::Done(endpoint) if !endpoint.has_old_secret));
    assert_eq!(secrets_of(&mut conn, &keyring, id).await, [b"second"]);
}

#[tokio::test]
async fn a_secret_opens_only_in_its_own_row_and_is_not_in_the_clear() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    let first = endpoint(&mut conn, &keyring, Some("org_1"), None).await.id;
    let second = endpoint(&mut conn, &keyring, Some("org_1"), None).await.id;
    let sealed = sqlx::query!("SELECT secret_sealed FROM syncline.webhook_endpoints")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    let is_clear = |sealed: &[u8]| sealed.windows(5).any(|window| window == b"first");
    assert!(!sealed.iter().any(|row| is_clear(&row.secret_sealed)));

    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints AS robbed
        SET secret_sealed = other.secret_sealed
        FROM syncline.webhook_endpoints AS other
        WHERE robbed.id = $1
          AND other.id = $2
        "#,
        first as EndpointId,
        second as EndpointId
    )
    .execute(&mut *conn)
    .await
    .unwrap();

    assert!(matches!(
        open(&mut conn, &keyring, first).await,
        Err(Error::Keyring(_))
    ));
}

#[tokio::test]
async fn an_endpoint_is_due_when_something_came_for_it_and_is_moved_past_the_rest() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    event(&mut conn, "record.created", "org_1").await;
    let types = ["account.linked".to_owned()];
    let all = endpoint(&mut conn, &keyring, None, None).await;
    let own = endpoint(&mut conn, &keyring, Some("org_1"), None).await;
    let other = endpoint(&mut conn, &keyring, Some("org_2"), None).await;
    let choosy = endpoint(&mut conn, &keyring, Some("org_1"), Some(&types)).await;
    // What was there before is not for them.
    assert_eq!(all.position, 1);
    assert_eq!(due_ids(&mut conn).await, []);

    event(&mut conn, "record.created", "org_1").await;
    assert_eq!(due_ids(&mut conn).await, [all.id, own.id]);
    let position =
        async |conn: &mut PgConnection, id| find(conn, id, None).await.unwrap().unwrap().position;
    assert_eq!(position(&mut conn, other.id).await, 2);
    assert_eq!(position(&mut conn, choosy.id).await, 2);
    assert_eq!(position(&mut conn, own.id).await, 1);

    delivered(&mut conn, own.id, 2).await.unwrap();
    delivered(&mut conn, own.id, 1).await.unwrap();
    assert_eq!(position(&mut conn, own.id).await, 2);
    event(&mut conn, "account.linked", "org_2").await;
    assert_eq!(due_ids(&mut conn).await, [all.id, other.id]);
    event(&mut conn, "account.linked", "org_1").await;
    assert_eq!(
        due_ids(&mut conn).await,
        [all.id, own.id, other.id, choosy.id]
    );

    // Neither what is disabled nor what has its next attempt later.
    disable(&mut conn, own.id, None).await.unwrap();
    failed(&mut conn, choosy.id, &FAILED, FIVE_DAYS)
        .await
        .unwrap();
    assert_eq!(due_ids(&mut conn).await, [all.id, other.id]);
    advance(database.pool(), FAILED.retry_after).await;
    assert_eq!(due_ids(&mut conn).await, [all.id, other.id, choosy.id]);
}

#[tokio::test]
async fn five_days_of_failures_disable_an_endpoint_and_one_success_forgets_them() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    let id = endpoint(&mut conn, &keyring, None, None).await.id;
    let fail = async |conn: &mut PgConnection| failed(conn, id, &FAILED, FIVE_DAYS).await.unwrap();

    assert_eq!(fail(&mut conn).await, None);
    advance(database.pool(), Duration::from_hours(119)).await;
    assert_eq!(fail(&mut conn).await, None);
    delivered(&mut conn, id, 1).await.unwrap();
    let healthy = find(&mut conn, id, None).await.unwrap().unwrap();
    assert_eq!(
        (healthy.failures, healthy.failing_since, healthy.last_error),
        (0, None, None)
    );

    assert_eq!(fail(&mut conn).await, None);
    advance(database.pool(), FIVE_DAYS).await;
    assert_eq!(fail(&mut conn).await, Some(DisabledReason::Failing));
    // It is told once.
    assert_eq!(fail(&mut conn).await, None);
    let disabled = find(&mut conn, id, None).await.unwrap().unwrap();
    assert_eq!(disabled.disabled_reason, Some(DisabledReason::Failing));
    assert_eq!((disabled.failures, disabled.last_status), (2, Some(500)));
}

#[tokio::test]
async fn an_endpoint_goes_on_where_it_stopped_or_from_now() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    let id = endpoint(&mut conn, &keyring, Some("org_1"), None).await.id;
    let gone = Failed {
        is_gone: true,
        ..FAILED
    };
    let reason = failed(&mut conn, id, &gone, FIVE_DAYS).await.unwrap();
    assert_eq!(reason, Some(DisabledReason::Gone));
    event(&mut conn, "account.linked", "org_1").await;

    let foreign = enable(&mut conn, id, Some("org_2"), From::Stopped).await;
    assert!(matches!(foreign.unwrap(), Enabled::Missing));
    let enabled = enable(&mut conn, id, Some("org_1"), From::Stopped).await;
    let Enabled::Done(endpoint) = enabled.unwrap() else {
        panic!("it is there")
    };
    assert_eq!(
        (endpoint.position, endpoint.failures, endpoint.disabled_at),
        (0, 0, None)
    );
    let enabled = enable(&mut conn, id, None, From::Now).await.unwrap();
    assert!(matches!(enabled, Enabled::Done(endpoint) if endpoint.position == 1));

    sqlx::query!("UPDATE syncline.event_feed SET last_position = 9, forgotten_through = 5")
        .execute(&mut *conn)
        .await
        .unwrap();
    let forgotten = enable(&mut conn, id, None, From::Stopped).await.unwrap();
    assert!(matches!(forgotten, Enabled::Forgotten));
    // Nor is it moved past what it never got.
    assert_eq!(due_ids(&mut conn).await, [id]);
    assert!(forget(&mut conn, id).await.unwrap());
    assert!(!forget(&mut conn, id).await.unwrap());
}

#[tokio::test]
async fn a_new_address_starts_with_a_clean_slate_and_another_organization_changes_nothing() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    let id = endpoint(&mut conn, &keyring, Some("org_1"), None).await.id;
    failed(&mut conn, id, &FAILED, FIVE_DAYS).await.unwrap();
    let same = Changes {
        url: Some("https://hooks.example/in"),
        description: Change::To("ours"),
        ..Changes::default()
    };
    let other = Changes {
        url: Some("https://hooks.example/other"),
        description: Change::Remove,
        ..Changes::default()
    };

    assert!(
        update(&mut conn, id, Some("org_2"), &other)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        disable(&mut conn, id, Some("org_2"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(!delete(&mut conn, id, Some("org_2")).await.unwrap());
    let kept = update(&mut conn, id, Some("org_1"), &same)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (kept.failures, kept.description.as_deref()),
        (1, Some("ours"))
    );
    let moved = update(&mut conn, id, None, &other).await.unwrap().unwrap();
    assert_eq!(
        (moved.failures, moved.retry_at, moved.description),
        (0, None, None)
    );
    assert_eq!(moved.url, "https://hooks.example/other");
    assert!(delete(&mut conn, id, None).await.unwrap());
}

#[tokio::test]
async fn an_organization_has_no_endless_number_of_endpoints() {
    let database = TestDatabase::new().await;
    let keyring = Keyring::random();
    let mut conn = database.pool().acquire().await.unwrap();
    for _ in 0..MOST {
        endpoint(&mut conn, &keyring, Some("org_1"), None).await;
    }
    let new = NewEndpoint {
        organization_id: Some("org_1"),
        url: "https://hooks.example/in",
        description: None,
        event_types: None,
        secret: b"one too many",
    };

    assert!(create(&mut conn, &keyring, &new).await.unwrap().is_none());
    endpoint(&mut conn, &keyring, Some("org_2"), None).await;
    endpoint(&mut conn, &keyring, None, None).await;
    let listed = list(&mut conn, Some("org_1"), None, 100).await.unwrap();
    assert_eq!(listed.len(), usize::try_from(MOST).unwrap());
    let rest = list(&mut conn, Some("org_1"), Some(listed[40].id), 100)
        .await
        .unwrap();
    assert_eq!(rest.len(), listed.len() - 41);
}
