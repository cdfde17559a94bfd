//! Calls about linked accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Refusal;
use super::auth::{ApiKey, Linked, PathCategory};
use super::pages::{ListQuery, page_of};
use crate::account::{Account, AccountState};
use crate::clock::to_text;
use crate::world::World;

pub(super) async fn details(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
) -> Json<Value> {
    let details = world.visit(&account, |state, _| {
        json!({
            "id": account.id,
            "integration": account.integration.name,
            "integration_slug": account.integration.slug,
            "category": account.category.as_str(),
            "end_user_origin_id": account.end_user_origin_id,
            "end_user_organization_name": state.end_user_organization_name,
            "end_user_email_address": state.end_user_email_address,
            "status": state.status,
            "webhook_listener_url": account.listener_url(),
            "is_duplicate": account.is_duplicate(),
            "account_type": account.account_type(),
            "completed_at": to_text(state.completed_at),
            "instance_id": null,
            "instance_display_value": null,
        })
    });
    Json(details)
}

pub(super) async fn list(
    State(world): State<Arc<World>>,
    _key: ApiKey,
    PathCategory(_): PathCategory,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    let found = world
        .accounts()
        .iter()
        .filter_map(|account| world.visit(account, |state, _| listed(account, state, &query)))
        .collect();
    page_of(&["linked-accounts"], found, &query)
}

/// The account's entry in the list, unless a filter leaves it out. The path's category is no filter; the query's is.
fn listed(account: &Account, state: &AccountState, query: &ListQuery) -> Option<Value> {
    let id = account.id.to_string();
    let fits = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    let is_among = |name: &str, value: &str| {
        query
            .get(name)
            .is_none_or(|wanted| wanted.split(',').any(|one| one.trim() == value))
    };
    let fits_all = fits("category", account.category.as_str())
        && fits("end_user_email_address", &state.end_user_email_address)
        && fits(
            "end_user_organization_name",
            &state.end_user_organization_name,
        )
        && fits("end_user_origin_id", &account.end_user_origin_id)
        && is_among("end_user_origin_ids", &account.end_user_origin_id)
        && fits("id", &id)
        && is_among("ids", &id)
        && fits("integration_name", account.integration.name)
        && fits("status", &state.status)
        && query.flag("is_test_account") != account.is_production;
    fits_all.then(|| {
        json!({
            "id": id,
            "category": account.category.as_str(),
            "status": state.status,
            "status_detail": null,
            "end_user_origin_id": account.end_user_origin_id,
            "end_user_organization_name": state.end_user_organization_name,
            "end_user_email_address": state.end_user_email_address,
            "subdomain": null,
            "webhook_listener_url": account.listener_url(),
            "is_duplicate": account.is_duplicate(),
            "integration": account.integration.to_json(),
            "account_type": account.account_type(),
            "completed_at": to_text(state.completed_at),
            "integration_specific_fields": {},
        })
    })
}

/// Answers 200 with an empty body, as Merge may.
pub(super) async fn delete(State(world): State<Arc<World>>, Linked(account): Linked) -> StatusCode {
    world.delete_account(&account);
    StatusCode::OK
}

pub(super) async fn sync_status(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    let statuses = world.visit(&account, |state, _| state.statuses());
    page_of(&["sync-status", &account.id.to_string()], statuses, &query)
}

/// Always all models; the answer is a bare array.
pub(super) async fn resync(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
) -> Result<Json<Vec<Value>>, Refusal> {
    if !account.is_production {
        return Err(Refusal::forbidden(
            "Only production accounts can be resynced.",
        ));
    }
    let rules = world.rules();
    let statuses = world.visit(&account, |state, now| {
        account.start_sync(state, now, rules);
        state.statuses()
    });
    Ok(Json(statuses))
}

pub(super) async fn available_actions(Linked(account): Linked) -> Json<Value> {
    Json(json!({
        "integration": account.integration.to_json(),
        "passthrough_available": false,
        "available_model_operations": [],
    }))
}

/// The sandbox raises no issues: an empty page.
pub(super) async fn issues(
    _key: ApiKey,
    PathCategory(_): PathCategory,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    page_of(&["issues"], Vec::new(), &query)
}
