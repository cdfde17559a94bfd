//! Link tokens, and the exchange of public tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use merge_client::catalogue::Category;
use serde_json::{Map, Value, json};

use super::Refusal;
use super::auth::{ApiKey, Linked, PathCategory};
use crate::integrations::Integration;
use crate::world::{LinkRequest, World};

const REQUIRED: &str = "This field is required.";

pub(super) async fn create_link_token(
    State(world): State<Arc<World>>,
    _key: ApiKey,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(&format!("JSON parse error - {error}")))?;
    let request = checked(&body)?;
    let integration_name = request.integration.map(|integration| integration.name);
    let link_token = world.create_link_token(request);
    let wants_magic_link = body.get("should_create_magic_link_url") == Some(&Value::Bool(true));
    let magic_link_url = wants_magic_link.then(|| {
        let mut url = world.base_url.clone();
        url.set_path("/link");
        url.query_pairs_mut().append_pair("link_token", &link_token);
        url
    });
    Ok(Json(json!({
        "link_token": link_token,
        "integration_name": integration_name,
        "magic_link_url": magic_link_url,
    })))
}

pub(super) async fn create_link_token_in_category(
    state: State<Arc<World>>,
    key: ApiKey,
    PathCategory(_): PathCategory,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    create_link_token(state, key, body).await
}

pub(super) async fn exchange(
    State(world): State<Arc<World>>,
    _key: ApiKey,
    Path(path): Path<HashMap<String, String>>,
) -> Result<Json<Value>, Refusal> {
    exchanged(&world, &path, None)
}

pub(super) async fn exchange_in_category(
    State(world): State<Arc<World>>,
    _key: ApiKey,
    PathCategory(category): PathCategory,
    Path(path): Path<HashMap<String, String>>,
) -> Result<Json<Value>, Refusal> {
    exchanged(&world, &path, Some(category))
}

pub(super) async fn regenerate(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
) -> Json<Value> {
    let account_token = world.regenerate_token(&account);
    Json(json!({ "linked_account_id": account.id, "account_token": account_token }))
}

fn exchanged(
    world: &World,
    path: &HashMap<String, String>,
    category: Option<Category>,
) -> Result<Json<Value>, Refusal> {
    let public_token = path
        .get("public_token")
        .map(String::as_str)
        .unwrap_or_default();
    let account = world
        .exchange(public_token, category)
        .ok_or_else(Refusal::not_found)?;
    let account_token = account.lock().token.clone();
    Ok(Json(json!({
        "account_token": account_token,
        "integration": account.integration.to_json(),
        "id": account.id,
    })))
}

fn checked(body: &Map<String, Value>) -> Result<LinkRequest, Refusal> {
    let categories = body
        .get("categories")
        .and_then(Value::as_array)
        .filter(|categories| !categories.is_empty())
        .ok_or_else(|| Refusal::field("categories", REQUIRED))?
        .iter()
        .map(|name| {
            let name = name.as_str().unwrap_or_default();
            Category::parse(name).ok_or_else(|| {
                Refusal::field("categories", &format!("\"{name}\" is not a valid choice."))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let integration = match body.get("integration").and_then(Value::as_str) {
        None => None,
        Some(slug) => {
            let found = Integration::find(slug).filter(|integration| {
                categories
                    .iter()
                    .any(|category| integration.offers(*category))
            });
            Some(found.ok_or_else(|| {
                Refusal::field("integration", "No such integration in these categories.")
            })?)
        }
    };
    Ok(LinkRequest {
        end_user_origin_id: text(body, "end_user_origin_id")?,
        end_user_organization_name: text(body, "end_user_organization_name")?,
        end_user_email_address: text(body, "end_user_email_address")?,
        categories,
        integration,
        life: life(body)?,
    })
}

fn text(body: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Refusal::field(name, REQUIRED))
}

/// 30 minutes to 12 hours, or to a week with a magic link; 30 minutes unless asked for.
fn life(body: &Map<String, Value>) -> Result<Duration, Refusal> {
    let minutes = match body.get("link_expiry_mins") {
        None | Some(Value::Null) => 30,
        Some(value) => value.as_u64().unwrap_or(0),
    };
    let has_magic_link = body.get("should_create_magic_link_url") == Some(&Value::Bool(true));
    let most = if has_magic_link { 10_080 } else { 720 };
    if !(30..=most).contains(&minutes) {
        return Err(Refusal::field(
            "link_expiry_mins",
            &format!("Must be from 30 to {most}."),
        ));
    }
    Ok(Duration::from_secs(minutes * 60))
}
