use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use test_support::TestDatabase;

use super::*;
use crate::Keyring;
use crate::model_syncs::{self, Observation};

fn new_account(origin_id: &str) -> NewAccount<'_> {
    NewAccount {
        id: AccountId::new(),
        organization_id: "acme",
        category: "hris",
        end_user_origin_id: origin_id,
        user_id: None,
        display_name: None,
        integration: None,
        end_user_organization_name: "Acme",
        end_user_email_address: "it@acme.test",
    }
}

fn linked<'a>(merge_account_id: &'a str, token: &'a SecretString) -> Linked<'a> {
    Linked {
        merge_account_id: Some(merge_account_id),
        merge_status: Some("COMPLETE"),
        integration_name: Some("BambooHR"),
        integration_slug: Some("bamboohr"),
        account_token: token,
    }
}

/// An active account named `origin_id`, whose token is `at_…` and whose id at Merge is `m_…`.
async fn active(conn: &mut PgConnection, keyring: &Keyring, origin_id: &str) -> AccountId {
    let pending = prepare_pending(conn, &new_account(origin_id))
        .await
        .unwrap();
    let token = SecretString::from(format!("at_{origin_id}"));
    let outcome = link(
        conn,
        keyring,
        pending.id,
        &linked(&format!("m_{origin_id}"), &token),
    )
    .await
    .unwrap();
    assert_eq!(outcome, LinkOutcome::Linked);
    pending.id
}

async fn read(conn: &mut PgConnection, id: AccountId) -> LinkedAccount {
    find(conn, id, None).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_pending_account_is_used_again_with_the_names_given_now() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();

    let first = prepare_pending(&mut conn, &new_account("o1"))
        .await
        .unwrap();
    let again = NewAccount {
        end_user_email_address: "hr@acme.test",
        ..new_account("o2")
    };
    let second = prepare_pending(&mut conn, &again).await.unwrap();

    assert_eq!(first, second);
    assert_eq!(
        read(&mut conn, first.id).await.end_user_email_address,
        "hr@acme.test"
    );
}

#[tokio::test]
async fn simultaneous_clicks_make_one_pending_account() {
    let database = TestDatabase::new().await;
    let (mut one, mut other) = (database.connect().await, database.connect().await);

    let (account_a, account_b) = (new_account("o1"), new_account("o2"));
    let (a, b) = tokio::join!(
        prepare_pending(&mut one, &account_a),
        prepare_pending(&mut other, &account_b)
    );

    assert_eq!(a.unwrap(), b.unwrap());
}

#[tokio::test]
async fn users_and_integrations_have_pending_accounts_of_their_own() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let accounts = [
        new_account("o1"),
        NewAccount {
            user_id: Some("u"),
            ..new_account("o2")
        },
        NewAccount {
            integration: Some("bamboohr"),
            ..new_account("o3")
        },
        NewAccount {
            category: "ats",
            ..new_account("o4")
        },
        NewAccount {
            organization_id: "other",
            ..new_account("o5")
        },
    ];

    for account in &accounts {
        let pending = prepare_pending(&mut conn, account).await.unwrap();
        assert_eq!(pending.end_user_origin_id, account.end_user_origin_id);
    }
}

#[tokio::test]
async fn an_active_account_is_left_alone() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let linked = active(&mut conn, &Keyring::random(), "o1").await;

    let pending = prepare_pending(&mut conn, &new_account("o2"))
        .await
        .unwrap();

    assert_ne!(pending.id, linked);
    assert_eq!(pending.end_user_origin_id, "o2");
}

#[tokio::test]
async fn another_organization_sees_nothing() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let id = active(&mut conn, &Keyring::random(), "o1").await;
    let others = AccountFilter {
        organization_id: Some("other"),
        ..AccountFilter::default()
    };

    assert!(find(&mut conn, id, Some("other")).await.unwrap().is_none());
    assert!(find(&mut conn, id, Some("acme")).await.unwrap().is_some());
    assert!(list(&mut conn, &others, 10).await.unwrap().is_empty());
    assert!(
        find_for_link(&mut conn, "other", "o1")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        linkable_categories(&mut conn, "other")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!begin_deletion(&mut conn, id, Some("other")).await.unwrap());
}

#[tokio::test]
async fn lists_page_by_page_and_by_filter() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let mut ids = Vec::new();
    for name in ["o1", "o2", "o3"] {
        ids.push(active(&mut conn, &keyring, name).await);
    }
    let pending = prepare_pending(&mut conn, &new_account("o4"))
        .await
        .unwrap();

    let filter = AccountFilter {
        organization_id: Some("acme"),
        category: Some("hris"),
        status: Some(AccountStatus::Active),
        after: None,
    };
    let first = list(&mut conn, &filter, 2).await.unwrap();
    let filter = AccountFilter {
        after: Some(first[1].id),
        ..filter
    };
    let second = list(&mut conn, &filter, 2).await.unwrap();

    let found: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|account| account.id)
        .collect();
    assert_eq!(found, ids);
    assert!(!found.contains(&pending.id));
}

#[tokio::test]
async fn a_token_opens_for_its_account_and_is_found_by_its_hash() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let id = active(&mut conn, &keyring, "o1").await;

    let access = access(&mut conn, &keyring, id).await.unwrap().unwrap();
    let by_token = find_by_token(&mut conn, &keyring, &"at_o1".into())
        .await
        .unwrap();
    let by_other = find_by_token(&mut conn, &keyring, &"at_o2".into())
        .await
        .unwrap();

    assert_eq!(access.token.unwrap().expose_secret(), "at_o1");
    assert_eq!(by_token, Some(id));
    assert_eq!(by_other, None);
}

#[tokio::test]
async fn a_token_copied_into_another_row_does_not_open() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let (victim, thief) = (
        active(&mut conn, &keyring, "o1").await,
        active(&mut conn, &keyring, "o2").await,
    );
    sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET account_token_sealed = (
            SELECT account_token_sealed FROM syncline.linked_accounts WHERE id = $1
        )
        WHERE id = $2
        "#,
        victim as AccountId,
        thief as AccountId
    )
    .execute(&mut *conn)
    .await
    .unwrap();

    let opened = access(&mut conn, &keyring, thief).await;

    assert!(matches!(
        opened,
        Err(Error::Keyring(crate::KeyringError::Refused))
    ));
}

#[tokio::test]
async fn linking_twice_changes_nothing_but_replaces_the_token() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let id = active(&mut conn, &keyring, "o1").await;

    let relinked = Linked {
        merge_account_id: None,
        merge_status: None,
        integration_name: None,
        integration_slug: None,
        account_token: &"at_new".into(),
    };
    let outcome = link(&mut conn, &keyring, id, &relinked).await.unwrap();

    assert_eq!(outcome, LinkOutcome::Linked);
    let account = read(&mut conn, id).await;
    assert_eq!(account.merge_account_id.as_deref(), Some("m_o1"));
    assert_eq!(account.integration_slug.as_deref(), Some("bamboohr"));
    let access = access(&mut conn, &keyring, id).await.unwrap().unwrap();
    assert_eq!(access.token.unwrap().expose_secret(), "at_new");
}

#[tokio::test]
async fn an_id_at_merge_belongs_to_one_account() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let first = active(&mut conn, &keyring, "o1").await;
    let second = prepare_pending(&mut conn, &new_account("o2"))
        .await
        .unwrap();

    let outcome = link(
        &mut conn,
        &keyring,
        second.id,
        &linked("m_o1", &"at".into()),
    )
    .await
    .unwrap();

    assert_eq!(outcome, LinkOutcome::TakenBy(first));
    assert_eq!(
        read(&mut conn, second.id).await.status,
        AccountStatus::Pending
    );
}

#[tokio::test]
async fn nothing_leads_out_of_a_deletion() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let id = active(&mut conn, &keyring, "o1").await;
    assert!(begin_deletion(&mut conn, id, Some("acme")).await.unwrap());

    set_status(&mut conn, id, AccountStatus::Active, None)
        .await
        .unwrap();
    record_poll(&mut conn, id, Duration::from_mins(1))
        .await
        .unwrap();
    put_poll_off(&mut conn, id, Duration::ZERO).await.unwrap();
    let outcome = link(&mut conn, &keyring, id, &linked("m_o1", &"at".into()))
        .await
        .unwrap();

    assert_eq!(outcome, LinkOutcome::Gone);
    let account = read(&mut conn, id).await;
    assert_eq!(account.status, AccountStatus::Deleting);
    assert_eq!(account.next_poll_at, None);
    wipe_token(&mut conn, id).await.unwrap();
    assert!(
        access(&mut conn, &keyring, id)
            .await
            .unwrap()
            .unwrap()
            .token
            .is_none()
    );
}

#[tokio::test]
async fn due_polls_are_taken_once_and_put_off() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let due = active(&mut conn, &keyring, "o1").await;
    let later = active(&mut conn, &keyring, "o2").await;
    put_poll_off(&mut conn, later, Duration::from_mins(1))
        .await
        .unwrap();
    prepare_pending(&mut conn, &new_account("o3"))
        .await
        .unwrap();

    let hour = Duration::from_hours(1);
    let taken = take_due_polls(&mut conn, 10, hour).await.unwrap();
    let again = take_due_polls(&mut conn, 10, hour).await.unwrap();

    assert_eq!(
        taken,
        [DueAccount {
            id: due,
            organization_id: "acme".to_owned()
        }]
    );
    assert_eq!(again, []);
}

#[tokio::test]
async fn two_ticks_at_once_share_the_due_polls() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    for name in ["o1", "o2", "o3", "o4"] {
        active(&mut conn, &keyring, name).await;
    }
    let mut one = database.pool().begin().await.unwrap();
    let mut other = database.pool().begin().await.unwrap();

    let hour = Duration::from_hours(1);
    let a = take_due_polls(&mut one, 2, hour).await.unwrap();
    let b = take_due_polls(&mut other, 10, hour).await.unwrap();

    assert_eq!((a.len(), b.len()), (2, 2));
    assert!(a.iter().all(|account| !b.contains(account)));
}

fn model(model_id: &str, status: &str) -> Observation {
    Observation {
        model_id: model_id.to_owned(),
        status: Some(status.to_owned()),
        ..Observation::default()
    }
}

#[tokio::test]
async fn the_initial_sync_waits_for_every_model_that_can_be_had() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let id = active(&mut conn, &Keyring::random(), "o1").await;
    let unknown = Observation {
        refusal: Some("unknown_model".to_owned()),
        ..model("hris.Deduction", "DONE")
    };

    // Nothing is known yet; then everything that is known is not wanted or not to be had.
    record_poll(&mut conn, id, Duration::from_mins(1))
        .await
        .unwrap();
    assert!(!complete_initial_sync(&mut conn, id).await.unwrap());
    let observed = [
        model("hris.Employee", "SYNCING"),
        model("hris.Team", "DISABLED"),
        unknown,
    ];
    model_syncs::observe(&mut conn, id, &observed)
        .await
        .unwrap();
    assert!(!complete_initial_sync(&mut conn, id).await.unwrap());

    model_syncs::refuse(&mut conn, id, "hris.Employee", "forbidden")
        .await
        .unwrap();

    assert!(complete_initial_sync(&mut conn, id).await.unwrap());
    assert!(
        !complete_initial_sync(&mut conn, id).await.unwrap(),
        "done once"
    );
}

#[tokio::test]
async fn the_initial_sync_waits_for_a_whole_poll() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let id = active(&mut conn, &Keyring::random(), "o1").await;
    model_syncs::observe(&mut conn, id, &[model("hris.Team", "DISABLED")])
        .await
        .unwrap();

    assert!(!complete_initial_sync(&mut conn, id).await.unwrap());
}

#[tokio::test]
async fn a_merge_id_is_learned_once() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let first = active(&mut conn, &keyring, "o1").await;
    let pending = prepare_pending(&mut conn, &new_account("o2"))
        .await
        .unwrap();

    learn_merge_id(&mut conn, first, "other").await.unwrap();
    learn_merge_id(&mut conn, pending.id, "m_o1").await.unwrap();

    assert_eq!(
        find_by_merge_id(&mut conn, "m_o1").await.unwrap(),
        Some(first)
    );
    assert_eq!(find_by_merge_id(&mut conn, "other").await.unwrap(), None);
}

#[tokio::test]
async fn webhooks_lead_to_accounts_by_either_name() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let first = active(&mut conn, &Keyring::random(), "o1").await;
    let pending = prepare_pending(&mut conn, &new_account("o2"))
        .await
        .unwrap()
        .id;
    let hint = |merge_account_id, origin_id: Option<_>, category: &str| Hint {
        merge_account_id,
        origin: origin_id.map(|origin_id| (origin_id, category.to_owned())),
    };

    let meant = find_meant(
        &mut conn,
        &[
            hint(Some("m_o1"), Some("o2"), "hris"),
            hint(None, None, ""),
            hint(Some("other"), Some("o2"), "hris"),
            hint(None, Some("o2"), "ats"),
        ],
    )
    .await
    .unwrap();

    let found: Vec<_> = meant
        .iter()
        .map(|meant| (meant.by_merge_id, meant.by_origin_id))
        .collect();
    let expected = [
        (Some(first), Some(pending)),
        (None, None),
        (None, Some(pending)),
        (None, None),
    ];
    assert_eq!(found, expected);
    let held = lock_many(&mut conn, &[pending, AccountId::new(), first])
        .await
        .unwrap();
    let held: Vec<_> = held.into_iter().map(|account| account.id).collect();
    assert_eq!(held, [first, pending]);
}

#[tokio::test]
async fn a_relink_wins_over_what_was_asked_before_it() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let id = active(&mut conn, &keyring, "o1").await;
    let read_linked_at = async |conn: &mut PgConnection| {
        let access = access(conn, &keyring, id).await.unwrap();
        access.unwrap().linked_at
    };
    let asked = read_linked_at(&mut conn).await;
    link(&mut conn, &keyring, id, &linked("m_o1", &"at".into()))
        .await
        .unwrap();

    let health = Health::Told(Some("RELINK_NEEDED".to_owned()));
    let status = record_health(&mut conn, id, asked, &health).await.unwrap();
    assert_eq!(status, Some(AccountStatus::Active));

    let asked = read_linked_at(&mut conn).await;
    let status = record_health(&mut conn, id, asked, &health).await.unwrap();
    assert_eq!(status, Some(AccountStatus::RelinkNeeded));
}

#[tokio::test]
async fn polls_that_fail_come_more_and_more_slowly_until_one_works() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let id = active(&mut conn, &Keyring::random(), "o1").await;
    let hour = Duration::from_hours(1);
    // Takes the account as if its time had come; gives the hours until it comes again.
    let take = async |conn: &mut PgConnection| {
        put_poll_off(conn, id, Duration::ZERO).await.unwrap();
        assert_eq!(take_due_polls(conn, 1, hour).await.unwrap().len(), 1);
        let next = read(conn, id).await.next_poll_at.unwrap();
        let hours = sqlx::query_scalar!(
            r#"SELECT extract(epoch FROM $1 - now())::float8 / 3600 AS "hours!""#,
            next
        );
        hours.fetch_one(conn).await.unwrap()
    };

    for least in [1.0, 2.0, 4.0, 8.0, 12.0, 12.0] {
        let hours = take(&mut conn).await;
        assert!(
            (least..=2.0 * least).contains(&(hours + 0.001)),
            "{hours} for {least}"
        );
    }

    record_poll(&mut conn, id, hour).await.unwrap();
    assert!(take(&mut conn).await <= 2.0);
}

#[tokio::test]
async fn an_account_is_found_by_the_names_it_has_at_merge_and_counted_by_status() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let keyring = Keyring::random();
    let one = active(&mut conn, &keyring, "o1").await;
    active(&mut conn, &keyring, "o2").await;
    set_status(&mut conn, one, AccountStatus::Error, Some("why"))
        .await
        .unwrap();
    let account = find(&mut conn, one, None).await.unwrap().unwrap();

    let by_origin = find_by_name(&mut conn, &account.end_user_origin_id).await;
    let by_merge_id = find_by_name(&mut conn, account.merge_account_id.as_deref().unwrap()).await;
    let unknown = find_by_name(&mut conn, "o1, somebody else").await;
    let counts = count_by_status(&mut conn).await.unwrap();

    assert_eq!(by_origin.unwrap(), Some(one));
    assert_eq!(by_merge_id.unwrap(), Some(one));
    assert_eq!(unknown.unwrap(), None);
    let counts: Vec<_> = counts
        .into_iter()
        .map(|count| (count.status, count.accounts))
        .collect();
    assert_eq!(
        counts,
        [(AccountStatus::Active, 1), (AccountStatus::Error, 1)]
    );
}

#[test]
fn a_status_is_read_as_it_is_written() {
    for status in AccountStatus::ALL {
        assert_eq!(AccountStatus::parse(status.as_str()), Some(status));
    }
    assert_eq!(AccountStatus::parse("gone"), None);
}
