//! What people do with endpoints. Each takes the organization in whose name it is done; `None`: of any.

use serde::{Deserialize, Deserializer};
use sqlx::PgConnection;

use super::{Endpoint, From, MOST, find, secret_place};
use crate::error::During;
use crate::{EndpointId, Error, Keyring};

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint<'a> {
    /// Only this organization's events; `None`: every organization's.
    pub organization_id: Option<&'a str>,
    /// Where to.
    pub url: &'a str,
    /// What a person calls it.
    pub description: Option<&'a str>,
    /// Only these, at least one; `None`: all.
    pub event_types: Option<&'a [String]>,
    /// What signs.
    pub secret: &'a [u8],
}

/// Makes an endpoint, for the events that get their place from now on. `None`: there are [`MOST`] already.
pub async fn create(
    conn: &mut PgConnection,
    keyring: &Keyring,
    new: &NewEndpoint<'_>,
) -> Result<Option<Endpoint>, Error> {
    let id = EndpointId::new();
    let sealed = keyring.seal(&secret_place(id, new.organization_id), new.secret)?;
    sqlx::query!(
        r#"
        INSERT INTO syncline.webhook_endpoints (
            id, organization_id, url, description, event_types, secret_sealed, secret_key_id, position
        )
        SELECT $1, $2, $3, $4, $5, $6, $7, last_position
        FROM syncline.event_feed
        WHERE $8 > (
            SELECT count(*)
            FROM syncline.webhook_endpoints
            WHERE organization_id IS NOT DISTINCT FROM $2
        )
        "#,
        id as EndpointId,
        new.organization_id,
        new.url,
        new.description,
        new.event_types,
        sealed.bytes,
        sealed.key_id,
        MOST
    )
    .execute(&mut *conn)
    .await
    .during("make a webhook endpoint")?;
    find(conn, id, None).await
}

/// What becomes of a value that need not be there. In JSON: left out, `null`, or the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It is this.
    To(T),
}

impl<T> Change<T> {
    /// What it is to be, by reference.
    pub fn as_ref(&self) -> Change<&T> {
        match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::To(value) => Change::To(value),
        }
    }

    /// The same of something made from the value.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::To(value) => Change::To(make(value)),
        }
    }

    /// The same of something made from the value, if that can be.
    ///
    /// # Errors
    /// That of `make`.
    pub fn try_map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::To(value) => Change::To(make(value)?),
        })
    }

    /// Whether it does not stay, and what it is then.
    fn columns(self) -> (bool, Option<T>) {
        match self {
            Self::Keep => (false, None),
            Self::Remove => (true, None),
            Self::To(value) => (true, Some(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Option::deserialize(deserializer)?;
        Ok(given.map_or(Self::Remove, Self::To))
    }
}

/// What is to be different.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes<'a> {
    /// Where to. Its failures are forgotten: they were another's.
    pub url: Option<&'a str>,
    /// What a person calls it.
    pub description: Change<&'a str>,
    /// Which events; removed: all.
    pub event_types: Change<&'a [String]>,
}

/// Changes an endpoint; `None` when there is none.
pub async fn update(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
    changes: &Changes<'_>,
) -> Result<Option<Endpoint>, Error> {
    let (is_description_given, description) = changes.description.columns();
    let (are_types_given, event_types) = changes.event_types.columns();
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET url = coalesce($3, url),
            failures = CASE WHEN $3 <> url THEN 0 ELSE failures END,
            failing_since = CASE WHEN $3 <> url THEN NULL ELSE failing_since END,
            retry_at = CASE WHEN $3 <> url THEN NULL ELSE retry_at END,
            description = CASE WHEN $4 THEN $5 ELSE description END,
            event_types = CASE WHEN $6 THEN $7 ELSE event_types END,
            updated_at = now()
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
        "#,
        id as EndpointId,
        organization_id,
        changes.url,
        is_description_given,
        description,
        are_types_given,
        event_types
    )
    .execute(&mut *conn)
    .await
    .during("change a webhook endpoint")?;
    find(conn, id, organization_id).await
}

/// Removes an endpoint; false when there is none.
pub async fn delete(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
) -> Result<bool, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.webhook_endpoints
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
        "#,
        id as EndpointId,
        organization_id
    )
    .execute(conn)
    .await
    .during("remove a webhook endpoint")?;
    Ok(deleted.rows_affected() == 1)
}

/// Stops sending to an endpoint, which keeps its position; `None` when there is none. One that is disabled already keeps
/// its reason.
pub async fn disable(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
) -> Result<Option<Endpoint>, Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET disabled_at = now(),
            disabled_reason = 'by_request',
            updated_at = now()
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
          AND disabled_at IS NULL
        "#,
        id as EndpointId,
        organization_id
    )
    .execute(&mut *conn)
    .await
    .during("disable a webhook endpoint")?;
    find(conn, id, organization_id).await
}

/// What came of enabling an endpoint.
#[derive(Debug)]
pub enum Enabled {
    /// It is enabled, and its failures are forgotten.
    Done(Box<Endpoint>),
    /// The events after its position are kept no longer; nothing was changed.
    Forgotten,
    /// There is no such endpoint.
    Missing,
}

/// Sends to an endpoint again, at once: also to one that is enabled and waits for its next attempt.
pub async fn enable(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
    from: From,
) -> Result<Enabled, Error> {
    let enabled = sqlx::query!(
        r#"
        UPDATE syncline.webhook_endpoints
        SET disabled_at = NULL,
            disabled_reason = NULL,
            failures = 0,
            failing_since = NULL,
            retry_at = NULL,
            position = CASE WHEN $3 THEN last_position ELSE position END,
            updated_at = now()
        FROM syncline.event_feed
        WHERE id = $1
          AND ($2::text IS NULL OR organization_id = $2)
          AND ($3 OR position >= forgotten_through)
        "#,
        id as EndpointId,
        organization_id,
        from == From::Now
    )
    .execute(&mut *conn)
    .await
    .during("enable a webhook endpoint")?;
    Ok(match find(conn, id, organization_id).await? {
        None => Enabled::Missing,
        Some(_) if enabled.rows_affected() == 0 => Enabled::Forgotten,
        Some(endpoint) => Enabled::Done(Box::new(endpoint)),
    })
}
