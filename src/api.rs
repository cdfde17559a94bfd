//! The HTTP API: JSON in, JSON out, problems for errors. A handler never calls Merge.
//!
//! It validates, writes, enqueues in one transaction, and answers 202 with the job's address, or waits
//! for the job when asked to. See `intake` for how a request becomes a job, `answer` for what is
//! answered, and `problem` for how an error becomes a body.

use std::time::Duration;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, patch, post},
};

use crate::app::App;
use crate::console;

mod account;
mod answer;
mod auth;
mod endpoint;
mod events;
mod extract;
mod field;
mod health;
mod intake;
mod integrations;
mod job;
mod key;
mod link;
mod observe;
mod page;
mod prefer;
mod problem;
mod records;
mod request_id;
mod resync;
mod server;
mod webhooks;

pub use key::ApiKey;
pub(crate) use observe::isolate;
pub(crate) use problem::Problem;
pub use server::serve;

/// Everything that can be asked for over HTTP: the API and the console.
pub fn router(app: App) -> Router {
    router_of(app, Surfaces::ALL)
}

/// Which addresses a process has, beside those of its health; and of its metrics, unless they have an address of their own.
#[derive(Debug, Clone, Copy)]
pub struct Surfaces {
    /// For the product, and for Merge's webhooks.
    pub has_api: bool,
    /// For people.
    pub has_console: bool,
}

impl Surfaces {
    /// Health and metrics alone.
    pub(crate) const NONE: Self = Self {
        has_api: false,
        has_console: false,
    };

    const ALL: Self = Self {
        has_api: true,
        has_console: true,
    };
}

/// The routes of some surfaces.
pub fn router_of(app: App, surfaces: Surfaces) -> Router {
    let mut router = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .with_state(app.clone());
    let is_public = surfaces.has_api || surfaces.has_console;
    if !is_public || app.config.telemetry.metrics_listen.is_none() {
        let metrics = Router::new().route("/metrics", get(health::metrics));
        router = router.merge(metrics.with_state(app.clone()));
    }
    if surfaces.has_api {
        router = router.merge(api(&app));
    }
    let mut router = router.layer(from_fn_with_state(app.clone(), observe::isolate));
    if surfaces.has_api {
        router = router.merge(webhooks(&app));
    }
    if surfaces.has_console {
        router = router.merge(console::router(app));
    }
    router.layer(from_fn(observe::observe))
}

/// Every route of the API, by what its key must be allowed to do.
fn api(app: &App) -> Router {
    let gate = |scope| {
        from_fn_with_state(
            auth::Gate {
                app: app.clone(),
                scope,
            },
            auth::admit,
        )
    };

    let linking = Router::new()
        .route(
            "/api/merge/create-link-token",
            post(link::create_link_token),
        )
        .route(
            "/api/merge/exchange-public-token",
            post(link::exchange_public_token),
        )
        .route(
            "/api/merge/relink-integration",
            post(link::relink_integration),
        )
        .route(
            "/api/merge/delete-integration",
            post(link::delete_integration),
        )
        .route("/api/merge/resync", post(resync::resync))
        .route_layer(gate(auth::Scope::Link));

    let reading = Router::new()
        .route(
            "/api/merge/check-sync-status",
            post(account::check_sync_status),
        )
        .route("/api/merge/integrations", get(integrations::list))
        .route("/api/merge/linked-accounts", get(account::list))
        .route("/api/merge/linked-accounts/{id}", get(account::show))
        .route("/api/merge/records/{model_id}", get(records::list))
        .route("/api/merge/events", get(events::read))
        .route("/api/merge/webhook-endpoints", get(endpoint::list))
        .route("/api/merge/webhook-endpoints/{id}", get(endpoint::show))
        .route("/api/jobs/{id}", get(job::show))
        .route_layer(gate(auth::Scope::Read));

    let endpoints = Router::new()
        .route("/api/merge/webhook-endpoints", post(endpoint::create))
        .route(
            "/api/merge/webhook-endpoints/{id}",
            patch(endpoint::update).delete(endpoint::remove),
        )
        .route(
            "/api/merge/webhook-endpoints/{id}/rotate-secret",
            post(endpoint::rotate_secret),
        )
        .route(
            "/api/merge/webhook-endpoints/{id}/remove-old-secret",
            post(endpoint::remove_old_secret),
        )
        .route(
            "/api/merge/webhook-endpoints/{id}/enable",
            post(endpoint::enable),
        )
        .route(
            "/api/merge/webhook-endpoints/{id}/disable",
            post(endpoint::disable),
        )
        .route(
            "/api/merge/webhook-endpoints/{id}/test",
            post(endpoint::test),
        )
        .route_layer(gate(auth::Scope::Endpoints));

    linking
        .merge(reading)
        .merge(endpoints)
        .with_state(app.clone())
}

/// Where webhooks come in: the signature is the key. Not in tasks of their own: what must not be cut off is the inbox'
/// task already.
fn webhooks(app: &App) -> Router {
    Router::new()
        .route("/api/webhooks/merge", post(webhooks::receive))
        .route("/webhooks/merge/sync-completed", post(webhooks::receive))
        .route("/webhooks/merge/model-synced", post(webhooks::receive))
        .route("/api/merge/webhook/{category}", post(webhooks::receive))
        .with_state(webhooks::Receiver::of(app))
}

/// How much of a body is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of the body of an API route.
    body_bytes: usize,
    /// Bytes of a webhook; its sender puts whole records in.
    webhook_body_bytes: usize,
    /// From the headers to the end of the body.
    body_timeout: Duration,
}

impl Limits {
    fn of(app: &App) -> Self {
        let http = &app.config.http;
        Self {
            body_bytes: http.body_limit_bytes,
            webhook_body_bytes: http.webhook_body_limit_bytes,
            body_timeout: http.body_timeout,
        }
    }
}
