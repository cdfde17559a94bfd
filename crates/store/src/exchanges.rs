//! Public tokens that were exchanged lately, so that an exchange can be repeated though Merge does it once.
//!
//! Between Merge's answer and the linked account lies another call to Merge, which may fail, and a process may be
//! killed. So the answer is kept, sealed, until the account is linked; then only which account it was is kept.
//! The public token itself is nowhere: it is found by its keyed hash, within its organization.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::During;
use crate::{Aad, AccountId, Error, Keyring};

/// What came of a public token.
#[derive(Debug)]
pub enum Exchange {
    /// Merge has answered; the account is not linked yet.
    Answered(SecretSlice<u8>),
    /// The account is linked.
    Linked(AccountId),
}

/// What came of a public token of this organization; `None` when it was not exchanged lately.
pub async fn find(
    conn: &mut PgConnection,
    keyring: &Keyring,
    organization_id: &str,
    public_token: &SecretString,
) -> Result<Option<Exchange>, Error> {
    let row = sqlx::query!(
        r#"
        SELECT row_id, answer_sealed, answer_key_id, account_id AS "account_id: AccountId"
        FROM syncline.exchanges
        WHERE organization_id = $1
          AND public_token_hash = ANY($2)
        ORDER BY created_at DESC
        LIMIT 1
        "#,
        organization_id,
        &keyring.fingerprints(public_token.expose_secret().as_bytes())
    )
    .fetch_optional(conn)
    .await
    .during("find an exchange")?;
    let Some(row) = row else { return Ok(None) };
    if let Some(account_id) = row.account_id {
        return Ok(Some(Exchange::Linked(account_id)));
    }
    let (Some(sealed), Some(key_id)) = (row.answer_sealed, row.answer_key_id) else {
        return Ok(None);
    };
    let place = answer_place(organization_id, row.row_id);
    Ok(Some(Exchange::Answered(
        keyring.open(&place, &key_id, &sealed)?,
    )))
}

/// Keeps Merge's answer, sealed.
pub async fn answered(
    conn: &mut PgConnection,
    keyring: &Keyring,
    organization_id: &str,
    public_token: &SecretString,
    answer: &SecretSlice<u8>,
) -> Result<(), Error> {
    let row_id = Uuid::now_v7();
    let sealed = keyring.seal(
        &answer_place(organization_id, row_id),
        answer.expose_secret(),
    )?;
    sqlx::query!(
        r#"
        INSERT INTO syncline.exchanges (
            organization_id, public_token_hash, row_id, answer_sealed, answer_key_id
        )
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (organization_id, public_token_hash) DO UPDATE SET
            row_id = excluded.row_id,
            answer_sealed = excluded.answer_sealed,
            answer_key_id = excluded.answer_key_id,
            account_id = NULL,
            created_at = excluded.created_at
        "#,
        organization_id,
        &keyring.fingerprint(public_token.expose_secret().as_bytes()),
        row_id,
        &sealed.bytes,
        sealed.key_id
    )
    .execute(conn)
    .await
    .during("keep the answer of an exchange")?;
    Ok(())
}

/// Erases the answer, and remembers the account that it led to.
pub async fn linked(
    conn: &mut PgConnection,
    keyring: &Keyring,
    organization_id: &str,
    public_token: &SecretString,
    account_id: AccountId,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.exchanges
        SET answer_sealed = NULL, answer_key_id = NULL, account_id = $3
        WHERE organization_id = $1
          AND public_token_hash = ANY($2)
        "#,
        organization_id,
        &keyring.fingerprints(public_token.expose_secret().as_bytes()),
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("note the account of an exchange")?;
    Ok(())
}

/// Erases what is kept of a public token, which led to nothing.
pub async fn forget(
    conn: &mut PgConnection,
    keyring: &Keyring,
    organization_id: &str,
    public_token: &SecretString,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        DELETE FROM syncline.exchanges
        WHERE organization_id = $1
          AND public_token_hash = ANY($2)
        "#,
        organization_id,
        &keyring.fingerprints(public_token.expose_secret().as_bytes())
    )
    .execute(conn)
    .await
    .during("forget an exchange")?;
    Ok(())
}

/// Erases what is kept longer than `age`, answers and accounts alike; returns how many.
pub async fn delete_old(conn: &mut PgConnection, age: Duration) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        "DELETE FROM syncline.exchanges WHERE created_at < now() - make_interval(secs => $1)",
        age.as_secs_f64()
    )
    .execute(conn)
    .await
    .during("erase old exchanges")?;
    Ok(deleted.rows_affected())
}

/// Erases those that led to an account.
pub async fn delete_of_account(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM syncline.exchanges WHERE account_id = $1",
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("erase the exchanges of a linked account")?;
    Ok(())
}

fn answer_place(organization_id: &str, row_id: Uuid) -> Aad<'_> {
    Aad {
        table: "exchanges",
        column: "answer",
        organization_id,
        row_id,
    }
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;

    async fn found(conn: &mut PgConnection, keyring: &Keyring, org: &str) -> Option<Exchange> {
        find(conn, keyring, org, &"pt".into()).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_the_account_is_linked() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let keyring = Keyring::random();
        let (token, account_id) = ("pt".into(), AccountId::new());

        answered(
            &mut conn,
            &keyring,
            "acme",
            &token,
            &b"answer".to_vec().into(),
        )
        .await
        .unwrap();
        let Some(Exchange::Answered(answer)) = found(&mut conn, &keyring, "acme").await else {
            panic!("no answer");
        };
        assert_eq!(answer.expose_secret(), b"answer");

        linked(&mut conn, &keyring, "acme", &token, account_id)
            .await
            .unwrap();
        let exchange = found(&mut conn, &keyring, "acme").await;
        assert!(matches!(exchange, Some(Exchange::Linked(id)) if id == account_id));

        delete_of_account(&mut conn, account_id).await.unwrap();
        assert!(found(&mut conn, &keyring, "acme").await.is_none());
    }

    #[tokio::test]
    async fn it_is_the_organizations_own_and_does_not_last() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let keyring = Keyring::random();
        let token = "pt".into();
        answered(
            &mut conn,
            &keyring,
            "acme",
            &token,
            &b"answer".to_vec().into(),
        )
        .await
        .unwrap();

        assert!(found(&mut conn, &keyring, "other").await.is_none());
        assert_eq!(
            delete_old(&mut conn, Duration::from_hours(1))
                .await
                .unwrap(),
            0
        );
        forget(&mut conn, &keyring, "other", &token).await.unwrap();
        assert_eq!(delete_old(&mut conn, Duration::ZERO).await.unwrap(), 1);
    }
}
