//! The feed of changes: what the product reads to stay in step.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    AccountId,
    events::{self, Event, EventType, FeedFilter, FeedPage},
};

use super::{
    auth::Principal,
    extract::{Json, Query},
    field::{Limit, OrganizationId, Position},
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

/// Query of the feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadEvents {
    /// The `next` of the page before; without it, the oldest events that are kept.
    after: Option<Position>,
    /// Only this organization's. A key that is bound to one reads no other's anyway.
    organization_id: Option<OrganizationId>,
    #[serde(default)]
    limit: Limit<1000>,
}

/// Some events, in their order.
#[derive(Debug, Serialize)]
pub(super) struct EventPage {
    events: Vec<EventView>,
    /// What to pass as `after` next time. Fewer events than asked for: there are no more for now.
    next: i64,
}

#[derive(Debug, Serialize)]
struct EventView {
    id: i64,
    r#type: EventType,
    occurred_at: DateTime<Utc>,
    organization_id: String,
    linked_account_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

/// Events after a point.
pub(super) async fn read(
    State(app): State<App>,
    principal: Principal,
    Query(query): Query<ReadEvents>,
) -> Result<Json<EventPage>, Problem> {
    let asked = query.organization_id.as_ref().map(OrganizationId::as_str);
    if asked.is_some_and(|asked| !principal.may_see(asked)) {
        return Err(Problem::missing("organization"));
    }
    let filter = FeedFilter {
        organization_id: principal.organization_id().or(asked),
        after: query.after.map(|position| position.0),
    };
    let mut connection = app.pool.acquire().await?;
    match events::read(&mut connection, filter, query.limit.0).await? {
        FeedPage::Events { events, next } => Ok(Json(EventPage {
            events: events.into_iter().map(EventView::from).collect(),
            next,
        })),
        FeedPage::Forgotten => Err(Problem::new(
            Kind::Gone,
            "Events after this point are kept no longer. Read the records anew, then follow the feed from \
             its oldest event.",
        )),
        FeedPage::NeverGiven => Err(Problem::field(Fault::of(
            "after",
            "must be a `next` that the feed gave",
        ))),
    }
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.position,
            r#type: event.event_type,
            occurred_at: event.occurred_at,
            organization_id: event.organization_id,
            linked_account_id: event.account_id,
            model_id: event.model_id,
            record_id: event.merge_id,
            detail: event.detail,
        }
    }
}
