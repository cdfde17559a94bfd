use test_support::TestDatabase;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

fn ready(model_id: &str, seconds: i64) -> Observation {
    Observation {
        model_id: model_id.to_owned(),
        status: Some("DONE".to_owned()),
        ready_through: Some(at(seconds)),
        ..Observation::default()
    }
}

#[tokio::test]
async fn marks_rise_and_never_sink() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account = AccountId::new();

    for seconds in [10, 30, 20] {
        let due = observe(&mut conn, account, &[ready("hris.Employee", seconds)])
            .await
            .unwrap();
        assert_eq!(due, ["hris.Employee"]);
    }
    let untold = Observation {
        ready_through: None,
        ..ready("hris.Employee", 0)
    };
    observe(&mut conn, account, &[untold]).await.unwrap();

    let models = list(&mut conn, account).await.unwrap();
    assert_eq!(models[0].available_through, Some(at(30)));
}

#[tokio::test]
async fn what_is_not_told_stays() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account = AccountId::new();
    observe(&mut conn, account, &[ready("hris.Employee", 10)])
        .await
        .unwrap();

    let result = Observation {
        model_id: "hris.Employee".to_owned(),
        last_sync_result: Some("PARTIALLY_SYNCED".to_owned()),
        ..Observation::default()
    };
    observe(&mut conn, account, &[result]).await.unwrap();

    let models = list(&mut conn, account).await.unwrap();
    assert_eq!(models[0].status.as_deref(), Some("DONE"));
    assert_eq!(
        models[0].last_sync_result.as_deref(),
        Some("PARTIALLY_SYNCED")
    );
    assert_eq!(models[0].available_through, Some(at(10)));
}

#[tokio::test]
async fn disabled_and_refused_models_are_not_due() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account = AccountId::new();
    let disabled = Observation {
        status: Some("DISABLED".to_owned()),
        ..ready("hris.Team", 10)
    };
    let observed = [
        ready("hris.Employee", 10),
        disabled,
        ready("hris.Benefit", 10),
    ];
    observe(&mut conn, account, &observed).await.unwrap();
    refuse(&mut conn, account, "hris.Benefit", "forbidden")
        .await
        .unwrap();

    let due = observe(&mut conn, account, &observed).await.unwrap();

    assert_eq!(due, ["hris.Employee"]);
}

#[tokio::test]
async fn a_refused_model_is_tried_again_after_a_day() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account = AccountId::new();
    observe(&mut conn, account, &[ready("hris.Benefit", 10)])
        .await
        .unwrap();
    refuse(&mut conn, account, "hris.Benefit", "forbidden")
        .await
        .unwrap();
    sqlx::query!("UPDATE syncline.model_syncs SET refused_at = now() - interval '25 hours'")
        .execute(&mut *conn)
        .await
        .unwrap();

    let due = observe(&mut conn, account, &[ready("hris.Benefit", 10)])
        .await
        .unwrap();

    assert_eq!(due, ["hris.Benefit"]);
}

#[tokio::test]
async fn a_model_enabled_later_becomes_due() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let account = AccountId::new();
    let disabled = Observation {
        status: Some("DISABLED".to_owned()),
        ready_through: None,
        ..ready("hris.Team", 10)
    };
    assert!(
        observe(&mut conn, account, &[disabled])
            .await
            .unwrap()
            .is_empty()
    );

    let due = observe(&mut conn, account, &[ready("hris.Team", 20)])
        .await
        .unwrap();

    assert_eq!(due, ["hris.Team"]);
}

#[tokio::test]
async fn lag_is_that_of_the_model_furthest_behind_of_an_active_account() {
    let database = TestDatabase::new().await;
    let mut conn = database.pool().acquire().await.unwrap();
    let hour = 3600.0;
    for (status, model_id, hours, refusal) in [
        ("active", "hris.Employee", 2.0, None),
        ("active", "hris.Team", 5.0, None),
        ("active", "hris.Benefit", 50.0, Some("forbidden")),
        ("relink_needed", "hris.Employee", 70.0, None),
        ("active", "crm.Contact", 1.0, None),
    ] {
        let account = AccountId::new();
        sqlx::query!(
            r#"
            INSERT INTO syncline.linked_accounts (
                id, organization_id, category, end_user_origin_id, end_user_organization_name,
                end_user_email_address, status, account_token_sealed, account_token_key_id, account_token_hash
            )
            VALUES ($1, 'o', 'hris', $1::uuid::text, 'n', 'e', $2, 's', 'k', 'h')
            "#,
            account as AccountId,
            status
        )
        .execute(&mut *conn)
        .await
        .unwrap();
        sqlx::query!(
            r#"
            INSERT INTO syncline.model_syncs (account_id, model_id, last_synced_at, refusal, refused_at)
            VALUES ($1, $2, now() - make_interval(secs => $3), $4::text, CASE WHEN $4 IS NULL THEN NULL ELSE now() END)
            "#,
            account as AccountId,
            model_id,
            hours * hour,
            refusal
        )
        .execute(&mut *conn)
        .await
        .unwrap();
    }

    let lags = lags(&mut conn, &["hris", "crm", "ats"]).await.unwrap();

    let hours: Vec<_> = lags
        .iter()
        .map(|lag| (lag.category.as_str(), lag.lag.as_secs() / 3600))
        .collect();
    assert_eq!(hours, [("hris", 5), ("crm", 1)]);
}
