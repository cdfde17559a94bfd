use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use test_support::TestDatabase;

use super::*;
use crate::events::{self, FeedFilter, FeedPage};
use crate::linked_accounts::{self, AccountFilter, NewAccount};
use crate::model_records::{self, NewRecord};
use crate::model_syncs::{self, Observation};
use crate::webhook_endpoints::{self, NewEndpoint};
use crate::{AccountId, EndpointId, Keyring};

const MODEL: &str = "hris.Employee";

/// A filter that forgets the organization.
const EVERYBODYS: AccountFilter<'_> = AccountFilter {
    organization_id: None,
    category: None,
    status: None,
    after: None,
};

/// What an organization has.
struct Tenant {
    account: AccountId,
    endpoint: EndpointId,
}

impl Tenant {
    /// Something in each table; every text bears the organization's name.
    async fn make(conn: &mut PgConnection, name: &str) -> Self {
        let id = AccountId::new();
        let new = NewAccount {
            id,
            organization_id: name,
            category: "hris",
            end_user_origin_id: &format!("{name}_hris"),
            user_id: None,
            display_name: None,
            integration: None,
            end_user_organization_name: name,
            end_user_email_address: "it@customer.test",
        };
        let account = linked_accounts::prepare_pending(conn, &new)
            .await
            .unwrap()
            .id;
        let observation = Observation {
            model_id: MODEL.to_owned(),
            ready_through: chrono::DateTime::from_timestamp(1_770_000_000, 0),
            ..Observation::default()
        };
        model_syncs::observe(conn, account, &[observation])
            .await
            .unwrap();
        let opening = crate::fetch_windows::Opening {
            overlap: std::time::Duration::from_mins(2),
            has_modified_filter: false,
        };
        crate::fetch_windows::resume_or_open(conn, account, MODEL, opening)
            .await
            .unwrap()
            .unwrap();
        let data = format!(r#"{{"of": "{name}"}}"#);
        let record = NewRecord {
            merge_id: name,
            remote_id: None,
            data: &data,
            modified_at: None,
            created_at: None,
            is_deleted: false,
        };
        let at = chrono::DateTime::from_timestamp(1_770_000_000, 0).unwrap();
        model_records::upsert(conn, account, MODEL, &[record], at)
            .await
            .unwrap();
        while events::place(conn).await.unwrap() {}
        let endpoint = NewEndpoint {
            organization_id: Some(name),
            url: "https://hooks.example/in",
            description: None,
            event_types: None,
            secret: b"secret",
        };
        let endpoint = webhook_endpoints::create(conn, &Keyring::random(), &endpoint).await;
        let endpoint = endpoint.unwrap().unwrap().id;
        Self { account, endpoint }
    }
}

/// Every table and view of the schema, read without any condition.
#[expect(
    clippy::disallowed_methods,
    reason = "every table there is, whatever its name"
)]
#[tokio::test]
async fn a_query_without_a_condition_shows_an_organization_its_own_rows_only() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let own = Tenant::make(&mut conn, "own").await;
    let theirs = Tenant::make(&mut conn, "theirs").await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace \
         WHERE nspname = 'syncline' AND relkind IN ('r', 'p', 'v') ORDER BY 1",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(tables.len() > 20);
    let (mut read, mut closed) = (Vec::new(), 0);

    for table in &tables {
        let mut tx = conn.begin().await.unwrap();
        assert!(enter(&mut tx, "own").await.unwrap());
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(format!(
            "SELECT t::text FROM {table} AS t"
        )));
        match rows.fetch_all(&mut *tx).await {
            Ok(rows) => {
                let text = rows.join("\n");
                for foreign in [
                    "theirs".to_owned(),
                    theirs.account.to_string(),
                    theirs.endpoint.to_string(),
                ] {
                    assert!(!text.contains(&foreign), "{table} shows {text}");
                }
                if text.contains("own") || text.contains(&own.account.to_string()) {
                    read.push(table.trim_start_matches("syncline."));
                }
            }
            Err(error) => {
                let error = error.into_database_error().unwrap();
                assert_eq!(error.code().as_deref(), Some("42501"), "{table}: {error}");
                closed += 1;
            }
        }
    }

    let walled = [
        "events",
        "fetch_windows",
        "linked_accounts",
        "model_records",
        "model_syncs",
        "webhook_endpoints",
    ];
    assert_eq!(read, walled);
    assert!(closed > 10, "{closed}");
}

/// The store's own queries, as if a handler had forgotten in whose name it asks.
#[tokio::test]
async fn a_forgotten_organization_leads_nowhere() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    Tenant::make(&mut conn, "own").await;
    let theirs = Tenant::make(&mut conn, "theirs").await;
    let mut tx = conn.begin().await.unwrap();
    enter(&mut tx, "own").await.unwrap();

    let found = linked_accounts::find(&mut tx, theirs.account, None)
        .await
        .unwrap();
    assert!(found.is_none());
    let listed = linked_accounts::list(&mut tx, &EVERYBODYS, 100)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert!(
        model_syncs::list(&mut tx, theirs.account)
            .await
            .unwrap()
            .is_empty()
    );
    let FeedPage::Events { events, .. } = events::read_placed(&mut tx, FeedFilter::default(), 100)
        .await
        .unwrap()
    else {
        panic!("nothing was forgotten")
    };
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event.organization_id == "own"));
    assert!(
        webhook_endpoints::find(&mut tx, theirs.endpoint, None)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !webhook_endpoints::delete(&mut tx, theirs.endpoint, None)
            .await
            .unwrap()
    );
    assert!(
        webhook_endpoints::disable(&mut tx, theirs.endpoint, None)
            .await
            .unwrap()
            .is_none()
    );
    tx.commit().await.unwrap();

    // It is as it was, and there for everybody else.
    let endpoint = webhook_endpoints::find(&mut conn, theirs.endpoint, None)
        .await
        .unwrap();
    assert!(endpoint.unwrap().disabled_at.is_none());
}

#[tokio::test]
async fn nothing_can_be_written_in_anothers_name() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let own = Tenant::make(&mut conn, "own").await;
    let mut tx = conn.begin().await.unwrap();
    enter(&mut tx, "own").await.unwrap();

    let given_away = sqlx::query!(
        "UPDATE syncline.webhook_endpoints SET organization_id = 'theirs' WHERE id = $1",
        own.endpoint as EndpointId
    )
    .execute(&mut *tx)
    .await;

    let error = given_away.unwrap_err().into_database_error().unwrap();
    assert!(error.message().contains("row-level security"), "{error}");
}

#[tokio::test]
async fn without_an_organization_there_is_nothing_and_afterwards_everything() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    Tenant::make(&mut conn, "own").await;
    let count = async |conn: &mut PgConnection| {
        sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.linked_accounts"#)
            .fetch_one(conn)
            .await
            .unwrap()
    };

    let mut tx = conn.begin().await.unwrap();
    enter(&mut tx, "").await.unwrap();
    assert_eq!(count(&mut tx).await, 0);
    leave(&mut tx).await.unwrap();
    assert_eq!(count(&mut tx).await, 1);
    enter(&mut tx, "own").await.unwrap();
    assert_eq!(count(&mut tx).await, 1);
    enter(&mut tx, "other").await.unwrap();
    assert_eq!(count(&mut tx).await, 0);
    tx.commit().await.unwrap();

    assert_eq!(count(&mut conn).await, 1);
    assert!(
        put_wall(&mut conn).await.unwrap(),
        "it stands, and putting it up again is harmless"
    );
}

/// As in an installation whose user may not make roles, on a server where another database has the role already.
#[tokio::test]
async fn a_user_who_may_not_take_the_role_on_is_told_that_the_wall_is_down() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    Tenant::make(&mut conn, "own").await;
    // Roles are the server's; this one is gone with the transaction.
    let mut tx = conn.begin().await.unwrap();
    let role = format!("plain_{}", uuid::Uuid::now_v7().simple());
    let statements = [
        format!("CREATE ROLE {role}"),
        format!("GRANT USAGE ON SCHEMA syncline TO {role}"),
        "DROP POLICY tenant ON syncline.linked_accounts".to_owned(),
        format!("SET LOCAL ROLE {role}"),
    ];
    for statement in statements {
        run(&mut tx, statement).await;
    }

    assert!(!put_wall(&mut tx).await.unwrap());

    run(&mut tx, "RESET ROLE".to_owned()).await;
    assert!(!enter(&mut tx, "other").await.unwrap());
    let listed = linked_accounts::list(&mut tx, &EVERYBODYS, 100)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    // Once somebody may, it goes up again.
    assert!(put_wall(&mut tx).await.unwrap());
    assert!(enter(&mut tx, "other").await.unwrap());
    assert!(
        linked_accounts::list(&mut tx, &EVERYBODYS, 100)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn who_was_not_granted_the_role_is_told_beforehand() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let mut tx = conn.begin().await.unwrap();
    assert!(put_wall(&mut tx).await.unwrap());
    assert!(may_enter(&mut tx).await.unwrap());

    let role = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    let statements = [
        format!("CREATE ROLE {role}"),
        format!("GRANT USAGE ON SCHEMA syncline TO {role}"),
        format!("SET LOCAL ROLE {role}"),
    ];
    for statement in statements {
        run(&mut tx, statement).await;
    }

    assert!(!may_enter(&mut tx).await.unwrap());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the name of a role is made at run time"
)]
async fn run(conn: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(conn)
        .await
        .unwrap();
}
