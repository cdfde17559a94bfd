//! What customers can link.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::integrations::{self, Integration};

use super::{
    extract::{Json, Query},
    field::CategoryName,
    problem::Problem,
};
use crate::app::App;

/// Query of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListIntegrations {
    category: Option<CategoryName>,
}

/// All integrations, by name.
#[derive(Debug, Serialize)]
pub(super) struct IntegrationList {
    integrations: Vec<Integration>,
    /// When they were read at the provider; null: not yet, so that the list is empty for now.
    refreshed_at: Option<DateTime<Utc>>,
}

/// The integrations that customers can link.
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
