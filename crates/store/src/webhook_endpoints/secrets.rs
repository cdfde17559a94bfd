//! Rotating the signing secret: the new one and the old one both sign, until the old one is removed.

use sqlx::PgConnection;

use super::{Endpoint, find, secret_place};
use crate::error::During;
use crate::{EndpointId, Error, Keyring};

/// What came of rotating.
#[derive(Debug)]
pub enum Rotated {
    /// The new one signs, and the old one, too.
    Done(Box<Endpoint>),
    /// There is an old one already; the endpoint may be using it, so it is not thrown away unasked.
    HasOld,
    /// There is no such endpoint.
    Missing,
}

/// Puts a new secret in, and keeps the one that was there as the old one.
pub async fn rotate_secret(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: EndpointId,
    organization_id: Option<&str>,
    secret: &[u8],
) -> Result<Rotated, Error> {
    let Some(endpoint) = find(conn, id, organization_id).await? else {
        return Ok(Rotated::Missing);
    };
    let place = secret_place(id, endpoint.organization_id.as_deref());
    let sealed = keyring.seal(&place, secret)?;
    let rotated = sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET old_secret_sealed = secret_sealed,
            old_secret_key_id = secret_key_id,
            secret_sealed = $2,
            secret_key_id = $3,
            updated_at = now()
        WHERE id = $1
          AND old_secret_sealed IS NULL
        "#,
        id as EndpointId,
        sealed.bytes,
        sealed.key_id
    )
    .execute(&mut *conn)
    .await
    .during("rotate the secret of a webhook endpoint")?;
    Ok(match find(conn, id, organization_id).await? {
        None => Rotated::Missing,
        Some(_) if rotated.rows_affected() == 0 => Rotated::HasOld,
        Some(endpoint) => Rotated::Done(Box::new(endpoint)),
    })
}

/// What came of removing the old secret.
#[derive(Debug)]
pub enum Retired {
    /// Only the new one signs.
    Done(Box<Endpoint>),
    /// There was no old one.
    Nothing,
    /// There is no such endpoint.
    Missing,
}

/// Removes the old secret.
pub async fn retire_secret(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
) -> Result<Retired, Error> {
    let retired = sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET old_secret_sealed = NULL,
            old_secret_key_id = NULL,
            updated_at = now()
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
          AND old_secret_sealed IS NOT NULL
        "#,
        id as EndpointId,
        organization_id
    )
    .execute(&mut *conn)
    .await
    .during("remove the old secret of a webhook endpoint")?;
    Ok(match find(conn, id, organization_id).await? {
        None => Retired::Missing,
        Some(_) if retired.rows_affected() == 0 => Retired::Nothing,
        Some(endpoint) => Retired::Done(Box::new(endpoint)),
    })
}
