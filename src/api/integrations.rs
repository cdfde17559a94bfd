//! What customers can link.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::integrations::{self, Integration};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Json, Query},
    field::CategoryName,
    problem::Problem,
};
use crate::app::App;

/// Query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListIntegrations {
    #[param(inline)]
    category: Option<CategoryName>,
}

/// All integrations, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntegrationList {
    integrations: Vec<Integration>,
    /// When they were read at the provider; null: not yet, so that the list is empty for now.
    refreshed_at: Option<DateTime<Utc>>,
}

/// The integrations that customers can link.
#[utoipa::path(
    get,
    path = "/api/merge/integrations",
    tag = "linking",
    params(ListIntegrations),
    responses((status = 200, body = IntegrationList))
)]
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListIntegrations>,
) -> Result<Json<IntegrationList>, Problem> {
    let category = query.category.map(|category| category.0.as_str());
    let mut connection = app.pool.acquire().await?;
    Ok(Json(IntegrationList {
        integrations: integrations::list(&mut connection, category).await?,
        refreshed_at: integrations::refreshed_at(&mut connection).await?,
    }))
}
