//! The keys that the API is called with.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::ApiKeyId;
use store::api_keys::ApiKey;
use utoipa::ToSchema;

use super::{Done, body::Plain};
use crate::api::{
    extract::{Json, Path},
    field::Text,
    prefer::Once,
    problem::Problem,
};
use crate::ops::{
    Ops,
    keys::{NewKey, Scope},
};

/// Keys, the oldest first; also those that were revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyList {
    keys: Vec<ApiKey>,
}

/// All keys, without what opens with them.
#[utoipa::path(get, path = "/api/ops/keys", tag = "operations", responses((status = 200, body = KeyList)))]
pub(super) async fn list(ops: Ops) -> Result<Json<KeyList>, Problem> {
    let keys = ops.keys().await?;
    Ok(Json(KeyList { keys }))
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    /// What people will know it by.
    name: Text<100>,
    /// What it may do.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// The only organization it may act for; without it, all.
    organization_id: Option<Text<100>>,
    /// When it ceases to be valid; without it, never.
    expires_at: Option<DateTime<Utc>>,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Created {
    success: bool,
    id: ApiKeyId,
    /// The key itself: now or never, for only its digest is stored.
    key: String,
}

/// Makes a key.
#[utoipa::path(
    post, path = "/api/ops/keys", tag = "operations",
    request_body = CreateKey,
    responses((status = 200, body = Created), (status = 409))
)]
pub(super) async fn create(
    ops: Ops,
    Json(body): Json<CreateKey>,
) -> Result<Json<Created>, Problem> {
    let new = NewKey {
        name: body.name.as_str().to_owned(),
        scopes: body.scopes,
        organization_id: body.organization_id.map(|id| id.as_str().to_owned()),
        expires_at: body.expires_at,
    };
    let (id, key) = ops.create_key(&new).await?;
    Ok(Json(Created {
        success: true,
        id,
        key: key.expose().to_owned(),
    }))
}

/// Withdraws a key for good.
#[utoipa::path(
    post, path = "/api/ops/keys/{id}/revoke", tag = "operations",
    params(("id" = ApiKeyId, Path, description = "The key."), Once),
    request_body = Plain,
    responses((status = 200, body = Done))
)]
pub(super) async fn revoke(
    ops: Ops,
    Path(id): Path<ApiKeyId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.revoke_key(id).await?;
    Ok(Done::plain())
}
