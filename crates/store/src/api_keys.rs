//! Keys that the product calls us with. The key itself is nowhere: only its SHA-256, by which it is found.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::error::During;
use crate::{ApiKeyId, Error};

/// A key, without the key.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What a person calls it.
    pub name: String,
    /// The key's first characters.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The one organization that it may act for; `None`: all.
    pub organization_id: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ceases to be valid; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was withdrawn.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to a few minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey<'a> {
    /// What a person calls it.
    pub name: &'a str,
    /// The key's first characters.
    pub prefix: &'a str,
    /// SHA-256 of the whole key.
    pub key_hash: [u8; 32],
    /// What it may do.
    pub scopes: &'a [String],
    /// The one organization that it may act for; `None`: all.
    pub organization_id: Option<&'a str>,
    /// When it ceases to be valid; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Stores a new key.
pub async fn create(conn: &mut PgConnection, new: &NewApiKey<'_>) -> Result<ApiKeyId, Error> {
    let id = ApiKeyId::new();
    sqlx::query!(
        r#"
        INSERT INTO syncline.api_keys (id, name, prefix, key_hash, scopes, organization_id, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        id as ApiKeyId,
        new.name,
        new.prefix,
        &new.key_hash,
        new.scopes,
        new.organization_id,
        new.expires_at
    )
    .execute(conn)
    .await
    .during("store an API key")?;
    Ok(id)
}

/// Finds the valid key with this SHA-256; `None` when there is none, or it was revoked or has expired.
pub async fn find_valid(
    conn: &mut PgConnection,
    key_hash: &[u8; 32],
) -> Result<Option<ApiKey>, Error> {
    sqlx::query_as!(
        ApiKey,
        r#"
        SELECT
            id AS "id: ApiKeyId", name, prefix, scopes, organization_id, created_at, expires_at, revoked_at,
            last_used_at
        FROM syncline.api_keys
        WHERE key_hash = $1
          AND revoked_at IS NULL
          AND (expires_at IS NULL OR expires_at > now())
        "#,
        key_hash
    )
    .fetch_optional(conn)
    .await
    .during("find an API key")
}

/// Lists all keys, revoked ones too, by age; at most `limit`, after the given one.
pub async fn list(
    conn: &mut PgConnection,
    after: Option<ApiKeyId>,
    limit: u16,
) -> Result<Vec<ApiKey>, Error> {
    sqlx::query_as!(
        ApiKey,
        r#"
        SELECT
            id AS "id: ApiKeyId", name, prefix, scopes, organization_id, created_at, expires_at, revoked_at,
            last_used_at
        FROM syncline.api_keys
        WHERE $1::uuid IS NULL OR id > $1
        ORDER BY id
        LIMIT $2
        "#,
        after as Option<ApiKeyId>,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list API keys")
}

/// Withdraws a key for good. False when there is no such key; true also when it was withdrawn before.
pub async fn revoke(conn: &mut PgConnection, id: ApiKeyId) -> Result<bool, Error> {
    let revoked = sqlx::query!(
        "UPDATE syncline.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1",
        id as ApiKeyId
    )
    .execute(conn)
    .await
    .during("revoke an API key")?;
    Ok(revoked.rows_affected() == 1)
}

/// Notes that a key was used, at most once in five minutes, so that reading with a key is not writing.
pub async fn touch(conn: &mut PgConnection, id: ApiKeyId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.api_keys
        SET last_used_at = now()
        WHERE id = $1
          AND (last_used_at IS NULL OR last_used_at < now() - interval '5 minutes')
        "#,
        id as ApiKeyId
    )
    .execute(conn)
    .await
    .during("note the use of an API key")?;
    Ok(())
}

#[cfg(test)]
mod tests;
