//! Who may ask: the API key on all calls, the account token on calls about an account.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use http::{HeaderMap, header};
use merge_client::catalogue::Category;

use super::Refusal;
use crate::account::Account;
use crate::world::{Standing, World};

/// Proof that the request carries the API key.
#[derive(Debug)]
pub(super) struct ApiKey;

/// The linked account that the request is about. It carried both tokens and is within its limit.
#[derive(Debug)]
pub(super) struct Linked(pub(super) Arc<Account>);

/// The category in the path.
#[derive(Debug)]
pub(super) struct PathCategory(pub(super) Category);

impl FromRequestParts<Arc<World>> for ApiKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Refusal> {
        let missing = || Refusal::unauthorized("Authentication credentials were not provided.");
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .ok_or_else(missing)?;
        let key = value
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(missing)?;
        if key != world.options.api_key {
            return Err(Refusal::unauthorized("Invalid API key."));
        }
        Ok(Self)
    }
}

impl FromRequestParts<Arc<World>> for PathCategory {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Refusal> {
        let Path(path) = Path::<HashMap<String, String>>::from_request_parts(parts, world)
            .await
            .map_err(|_| Refusal::not_found())?;
        path.get("category")
            .and_then(|name| Category::parse(name))
            .map(Self)
            .ok_or_else(Refusal::not_found)
    }
}

impl FromRequestParts<Arc<World>> for Linked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Refusal> {
        ApiKey::from_request_parts(parts, world).await?;
        let PathCategory(category) = PathCategory::from_request_parts(parts, world).await?;
        let token = account_token(&parts.headers)
            .ok_or_else(|| Refusal::unauthorized("Account token was not provided."))?;
        let account = match world.account_by_token(token) {
            Standing::Linked(account) => account,
            Standing::Deleted => return Err(Refusal::not_found()),
            Standing::Unknown => return Err(Refusal::unauthorized("Invalid account token.")),
        };
        let limit = world.options.requests_per_minute;
        world
            .visit(&account, |state, now| state.requests.admit(now, limit))
            .map_err(|seconds| {
                Refusal::too_many(seconds, "Rate limit of this linked account exceeded.")
            })?;
        if account.category != category {
            return Err(Refusal::forbidden(
                "The linked account is of another category.",
            ));
        }
        Ok(Self(account))
    }
}

pub(super) fn account_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("X-Account-Token")
        .and_then(|value| value.to_str().ok())
}
