//! The inbox: what came, what was decided about it, and once more.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::webhook_deliveries::{self, DeliveryFilter, DeliveryView, Verdict};
use store::{AccountId, DeliveryId};
use utoipa::{IntoParams, ToSchema};

use super::{Done, body::Plain};
use crate::api::{
    extract::{Json, Path, Query},
    field::{Limit, Text},
    page::Cursor,
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// Query of the list; all that is asked for must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDeliveries {
    /// What was decided.
    #[param(inline)]
    verdict: Option<Verdict>,
    /// The event that the body names.
    #[param(inline)]
    event: Option<Text<100>>,
    /// Our id of the account.
    #[param(inline)]
    account: Option<AccountId>,
    /// Kept at this time or later.
    from: Option<DateTime<Utc>>,
    /// Kept before this time.
    before: Option<DateTime<Utc>>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<DeliveryId>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryList {
    deliveries: Vec<DeliveryView>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<DeliveryId>>,
}

/// What came, without its body.
#[utoipa::path(get, path = "/api/ops/webhooks", tag = "operations", params(ListDeliveries), responses((status = 200, body = DeliveryList)))]
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListDeliveries>,
) -> Result<Json<DeliveryList>, Problem> {
    let filter = DeliveryFilter {
        verdict: query.verdict,
        event: query.event.as_ref().map(Text::as_str),
        account_id: query.account,
        since: query.from,
        until: query.before,
    };
    let after = query.cursor.map(|cursor| cursor.0);
    let mut conn = app.pool.acquire().await?;
    let deliveries = webhook_deliveries::list(&mut conn, &filter, after, query.limit.0).await?;
    let next = query
        .limit
        .last_of_full(&deliveries)
        .map(|last| Cursor(last.id));
    Ok(Json(DeliveryList { deliveries, next }))
}

/// One delivery, without its body: what was decided, why, and which jobs it caused.
#[utoipa::path(
    get, path = "/api/ops/webhooks/{id}", tag = "operations",
    params(("id" = DeliveryId, Path, description = "The delivery.")),
    responses((status = 200, body = DeliveryView))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<DeliveryView>, Problem> {
    let mut conn = app.pool.acquire().await?;
    let view = webhook_deliveries::find(&mut conn, id).await?;
    view.map(Json)
        .ok_or_else(|| Problem::missing("delivery; or it went with its day"))
}

/// Has a delivery judged once more, as if it had just come.
#[utoipa::path(
    post, path = "/api/ops/webhooks/{id}/replay", tag = "operations",
    params(("id" = DeliveryId, Path, description = "The delivery."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn replay(
    ops: Ops,
    Path(id): Path<DeliveryId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.replay_webhook(id).await?;
    Ok(Done::plain())
}
