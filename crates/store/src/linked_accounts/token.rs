//! The account token: opened for the one who reads at Merge, and found by its hash.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::AccountStatus;
use super::linking::token_place;
use crate::error::During;
use crate::{AccountId, Error, Keyring, KeyringError};

/// What is needed to read an account at Merge.
#[derive(Debug)]
pub struct Access {
    /// Whose it is.
    pub organization_id: String,
    /// The category, which is part of every address at Merge.
    pub category: String,
    /// Where its life stands.
    pub status: AccountStatus,
    /// The last link or relink.
    pub linked_at: Option<DateTime<Utc>>,
    /// Whether its initial sync is complete, which is never taken back.
    pub is_initially_synced: bool,
    /// The account token; `None` before it is linked.
    pub token: Option<SecretString>,
}

/// Opens the token of an account; `None` when there is no such account.
///
/// # Errors
/// [`Error::Keyring`] when the token was sealed by a key that is not held, or was moved or altered.
pub async fn access(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
) -> Result<Option<Access>, Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            organization_id,
            category,
            status AS "status: AccountStatus",
            linked_at,
            initial_sync_completed_at IS NOT NULL AS "is_initially_synced!",
            account_token_sealed,
            account_token_key_id
        FROM syncline.linked_accounts
        WHERE id = $1
        "#,
        id as AccountId
    )
    .fetch_optional(conn)
    .await
    .during("read the token of a linked account")?;
    let Some(row) = row else { return Ok(None) };

    let token = match (row.account_token_sealed, row.account_token_key_id) {
        (Some(sealed), Some(key_id)) => {
            let place = token_place(&row.organization_id, id);
            let bytes = keyring.open(&place, &key_id, &sealed)?;
            let text = std::str::from_utf8(bytes.expose_secret());
            Some(SecretString::from(text.map_err(|_| KeyringError::Refused)?))
        }
        _ => None,
    };
    Ok(Some(Access {
        organization_id: row.organization_id,
        category: row.category,
        status: row.status,
        linked_at: row.linked_at,
        is_initially_synced: row.is_initially_synced,
        token,
    }))
}

/// Finds the account that a webhook means, by its token.
pub async fn find_by_token(
    conn: &mut PgConnection,
    keyring: &Keyring,
    token: &SecretString,
) -> Result<Option<AccountId>, Error> {
    let fingerprints = keyring.fingerprints(token.expose_secret().as_bytes());
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id: AccountId"
        FROM syncline.linked_accounts
        WHERE account_token_hash = ANY($1)
        ORDER BY id
        LIMIT 1
        "#,
        &fingerprints
    )
    .fetch_optional(conn)
    .await
    .during("find a linked account by its token")
}

/// One account for each key that tokens are sealed with.
pub async fn one_of_each_key(conn: &mut PgConnection) -> Result<Vec<AccountId>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT ON (account_token_key_id) id AS "id: AccountId"
        FROM syncline.linked_accounts
        WHERE account_token_sealed IS NOT NULL
        ORDER BY account_token_key_id, id DESC
        LIMIT 100
        "#
    )
    .fetch_all(conn)
    .await
    .during("look for the keys that tokens are sealed with")
}

/// Forgets the token of an account that is being deleted.
pub async fn wipe_token(conn: &mut PgConnection, id: AccountId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET account_token_sealed = NULL,
            account_token_key_id = NULL,
            account_token_hash = NULL,
            updated_at = now()
        WHERE id = $1
          AND status = 'deleting'
        "#,
        id as AccountId
    )
    .execute(conn)
    .await
    .during("wipe an account token")?;
    Ok(())
}
