//! Merge's API, as a router.

mod accounts;
mod answer;
mod auth;
mod integrations;
mod linking;
mod lists;
mod pages;

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::HeaderValue;

pub(crate) use self::answer::Refusal;
use self::auth::account_token;
use crate::faults::FaultKind;
use crate::listener::Peer;
use crate::world::World;

/// Everything below `/api`.
pub(crate) fn router(world: &Arc<World>) -> Router<Arc<World>> {
    Router::new()
        .route("/api/integrations", get(integrations::all))
        .route(
            "/api/organizations/integrations",
            get(integrations::of_organization),
        )
        .route(
            "/api/integrations/create-link-token",
            post(linking::create_link_token),
        )
        .route(
            "/api/integrations/account-token/{public_token}",
            get(linking::exchange),
        )
        .route(
            "/api/{category}/v1/link-token",
            post(linking::create_link_token_in_category),
        )
        .route(
            "/api/{category}/v1/account-token/regenerate",
            post(linking::regenerate),
        )
        .route(
            "/api/{category}/v1/account-token/{public_token}",
            get(linking::exchange_in_category),
        )
        .route("/api/{category}/v1/account-details", get(accounts::details))
        .route("/api/{category}/v1/linked-accounts", get(accounts::list))
        .route("/api/{category}/v1/delete-account", post(accounts::delete))
        .route("/api/{category}/v1/sync-status", get(accounts::sync_status))
        .route(
            "/api/{category}/v1/sync-status/resync",
            post(accounts::resync),
        )
        .route(
            "/api/{category}/v1/available-actions",
            get(accounts::available_actions),
        )
        .route("/api/{category}/v1/issues", get(accounts::issues))
        .route("/api/{category}/v1/{path}", get(lists::list))
        .route("/api/{category}/v1/{path}/{id}", get(lists::one))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(middleware::from_fn_with_state(world.clone(), guard))
}

/// Around every request: the limit for addresses with many errors, and the faults asked for.
async fn guard(
    State(world): State<Arc<World>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let mut number = 0;
    world.requests.send_modify(|requests| {
        *requests += 1;
        number = *requests;
    });
    let address = peer.address.ip();
    if world.options.has_error_budget
        && let Err(seconds) = world.errors.admit(address, world.clock.now())
    {
        return answer::too_many(seconds, "Too many failing requests from this address.");
    }
    let fault = world
        .faults
        .take(request.uri().path(), account_token(request.headers()));
    let is_answered = fault != Some(FaultKind::Reset);
    let instead = fault.as_ref().and_then(|fault| fault.instead(Some(&peer)));
    let mut response = match (instead, fault) {
        (Some(response), _) => response,
        (None, None) => next.run(request).await,
        (None, Some(fault)) => fault.spoil(next.run(request).await).await,
    };
    let status = response.status().as_u16();
    if is_answered && status >= 400 && status != 429 {
        world.errors.note_error(address, world.clock.now());
    }
    // As services do, so that a request can be talked about.
    let id = HeaderValue::from_str(&format!("sandbox-{number}"));
    if let Ok(id) = id {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}
