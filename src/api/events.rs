//! The feed of changes: what the product reads to stay in step.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::events::{self, Event, FeedFilter, FeedPage};
use utoipa::{IntoParams, ToSchema};

use super::{
    auth::Principal,
    extract::{Json, Query},
    field::{Limit, OrganizationId, Position},
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

/// Query of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadEvents {
    /// The `next` of the page before; without it, the oldest events that are kept.
    #[param(inline)]
    after: Option<Position>,
    /// Only this organization's. A key that is bound to one reads no other's anyway.
    #[param(inline)]
    organization_id: Option<OrganizationId>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit<1000>,
}

/// Some events, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    events: Vec<Event>,
    /// What to pass as `after` next time. Fewer events than asked for: there are no more for now.
    next: i64,
}

/// Events after a point.
#[utoipa::path(
    get,
    path = "/api/merge/events",
    tag = "events",
    params(ReadEvents),
    responses((status = 200, body = EventPage), (status = 404), (status = 410))
)]
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
        ..FeedFilter::default()
    };
    // All of them get their places, by us; the key's are read in its name.
    let mut connection = app.pool.acquire().await?;
    while events::place(&mut connection).await? {}
    drop(connection);
    let mut connection = principal.begin(&app).await?;
    match events::read_placed(&mut connection, filter, query.limit.0).await? {
        FeedPage::Events { events, next } => Ok(Json(EventPage { events, next })),
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
