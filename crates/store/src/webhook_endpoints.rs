//! Where the product wants events sent to, and how far each of these endpoints got.
//!
//! An endpoint has a *position* in the feed (see [`crate::events`]): what comes up to there was delivered, or is not for
//! it. So an event needs no row for each endpoint that is to get it, nothing is forgotten however long an endpoint is
//! away, and the order is the feed's. The position moves in the transaction that ends a delivery's job.
//!
//! Failures are counted by the row: it is disabled when it has been failing for too long, and keeps its position.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::During;
use crate::{Aad, EndpointId, Error};

mod delivering;
mod managing;
mod secrets;

pub use delivering::{
    Due, Failed, OpenEndpoint, delivered, due, failed, forget, has_news, open, pass_by,
};
pub use managing::{
    Change, Changes, Enabled, NewEndpoint, create, delete, disable, enable, update,
};
pub use secrets::{Retired, Rotated, retire_secret, rotate_secret};

/// Endpoints of one organization, at most; and of those that are no organization's.
pub const MOST: i64 = 50;

/// Why nothing is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DisabledReason {
    /// Somebody asked for it.
    ByRequest,
    /// The endpoint answered 410.
    Gone,
    /// It failed for too long.
    Failing,
    /// It was away for longer than events are kept.
    EventsForgotten,
}

impl DisabledReason {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByRequest => "by_request",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::EventsForgotten => "events_forgotten",
        }
    }
}

/// From where on a disabled endpoint is delivered to again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResumeFrom)]
pub enum From {
    /// The first event that it did not get.
    #[default]
    Stopped,
    /// What comes next; everything in between is left out.
    Now,
}

/// An endpoint, without its secrets. As JSON it is what the product sees.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Only this organization's events; `None`: every organization's.
    pub organization_id: Option<String>,
    /// Where to.
    pub url: String,
    /// What a person calls it.
    pub description: Option<String>,
    /// Only these; `None`: all.
    pub event_types: Option<Vec<String>>,
    /// The number of the last event that was delivered, or was not for it.
    pub position: i64,
    /// The last delivery.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Failed attempts in a row.
    pub failures: i32,
    /// The first of them.
    pub failing_since: Option<DateTime<Utc>>,
    /// What the last of them was answered; `None`: there was no answer.
    pub last_status: Option<i16>,
    /// What was wrong then.
    pub last_error: Option<String>,
    /// The next attempt comes at this time at the latest.
    pub retry_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent; `None`: it is enabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why.
    pub disabled_reason: Option<DisabledReason>,
    /// Whether the secret before the last rotation signs, too.
    pub has_old_secret: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

/// Finds an endpoint; `organization_id`: only if it is that organization's.
pub async fn find(
    conn: &mut PgConnection,
    id: EndpointId,
    organization_id: Option<&str>,
) -> Result<Option<Endpoint>, Error> {
    sqlx::query_file_as!(
        Endpoint,
        "src/webhook_endpoints/find.sql",
        id as EndpointId,
        organization_id
    )
    .fetch_optional(conn)
    .await
    .during("find a webhook endpoint")
}

/// Lists endpoints by age, at most `limit`, after the given one; `organization_id`: only that organization's.
pub async fn list(
    conn: &mut PgConnection,
    organization_id: Option<&str>,
    after: Option<EndpointId>,
    limit: u16,
) -> Result<Vec<Endpoint>, Error> {
    sqlx::query_file_as!(
        Endpoint,
        "src/webhook_endpoints/list.sql",
        organization_id,
        after as Option<EndpointId>,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list webhook endpoints")
}

/// Where the secrets of an endpoint live. Rotating moves one within its row, so both have one place.
fn secret_place(id: EndpointId, organization_id: Option<&str>) -> Aad<'_> {
    Aad {
        table: "webhook_endpoints",
        column: "secret",
        organization_id: organization_id.unwrap_or_default(),
        row_id: id.0,
    }
}

#[cfg(test)]
mod tests;
