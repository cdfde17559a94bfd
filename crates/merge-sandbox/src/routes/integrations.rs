//! The catalogues of integrations.

use axum::Json;
use serde_json::Value;

use super::Refusal;
use super::auth::ApiKey;
use super::pages::{ListQuery, page_of};
use crate::integrations::Integration;

/// All integrations: no key needed, one plain array.
pub(super) async fn all() -> Json<Vec<Value>> {
    Json(
        Integration::all()
            .iter()
            .map(Integration::to_json)
            .collect(),
    )
}

/// The integrations enabled for the key's organization: here all, in pages.
pub(super) async fn of_organization(
    _key: ApiKey,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    let all = Integration::all()
        .iter()
        .map(Integration::to_json)
        .collect();
    page_of(&["integrations"], all, &query)
}
