//! The HTTP API: JSON in, JSON out, problems for errors. A handler never calls Merge.
//!
//! It validates, writes, enqueues in one transaction, and answers 202 with the job's address, or waits
//! for the job when asked to. See `intake` for how a request becomes a job, `answer` for what is
//! answered, and `problem` for how an error becomes a body.

use std::sync::Arc;
use std::time::Duration;

use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::document::Document;
use self::webhooks::Receiver;
use crate::app::App;
use crate::console;

mod account;
mod answer;
mod auth;
mod docs;
mod document;
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
mod ops;
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
    let mut described = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(health::live))
        .routes(routes!(health::ready));
    let is_public = surfaces.has_api || surfaces.has_console;
    if !is_public || app.config.telemetry.metrics_listen.is_none() {
        described = described.routes(routes!(health::metrics));
    }
    let mut receiving = OpenApiRouter::new();
    if surfaces.has_api {
        described = described
            .merge(api(&app))
            .routes(routes!(document::show))
            .routes(routes!(docs::show))
            .routes(routes!(docs::style));
        receiving = webhooks();
    }
    let (served, mut document) = described.split_for_parts();
    let (receiving, more) = receiving.split_for_parts();
    document.merge(more);
    let mut router = served
        .with_state(app.clone())
        .layer(Extension(Document::of(&document)))
        .layer(from_fn_with_state(app.clone(), observe::isolate))
        .merge(receiving.with_state(Receiver::of(&app)));
    if surfaces.has_console {
        router = router.merge(console::router(app));
    }
    router.layer(from_fn(observe::observe))
}

/// Every route of the API, by what its key must be allowed to do. Each handler says its path.
fn api(app: &App) -> OpenApiRouter<App> {
    let linking = OpenApiRouter::new()
        .routes(routes!(link::create_link_token))
        .routes(routes!(link::exchange_public_token))
        .routes(routes!(link::relink_integration))
        .routes(routes!(link::delete_integration))
        .routes(routes!(resync::resync));

    let reading = OpenApiRouter::new()
        .routes(routes!(account::check_sync_status))
        .routes(routes!(integrations::list))
        .routes(routes!(account::list))
        .routes(routes!(account::show))
        .routes(routes!(records::list))
        .routes(routes!(events::read))
        .routes(routes!(endpoint::list))
        .routes(routes!(endpoint::show))
        .routes(routes!(job::show));

    let endpoints = OpenApiRouter::new()
        .routes(routes!(endpoint::create))
        .routes(routes!(endpoint::update, endpoint::remove))
        .routes(routes!(endpoint::acting::rotate_secret))
        .routes(routes!(endpoint::acting::remove_old_secret))
        .routes(routes!(endpoint::acting::enable))
        .routes(routes!(endpoint::acting::disable))
        .routes(routes!(endpoint::acting::test));

    gated(app, auth::Scope::Link, linking)
        .merge(gated(app, auth::Scope::Read, reading))
        .merge(gated(app, auth::Scope::Endpoints, endpoints))
        .merge(ops::routes(app))
}

/// Lets only keys with a scope pass, and says so in the document.
fn gated(app: &App, scope: auth::Scope, mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    document::demand(routes.get_openapi_mut(), scope.as_str());
    let gate = auth::Gate {
        app: app.clone(),
        scope,
    };
    routes.route_layer(from_fn_with_state(gate, auth::admit))
}

/// Where webhooks come in: the signature is the key. Not in tasks of their own: what must not be cut off is the inbox'
/// task already.
fn webhooks() -> OpenApiRouter<Arc<Receiver>> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::receive))
        .routes(routes!(webhooks::receive_sync_completed))
        .routes(routes!(webhooks::receive_model_synced))
        .routes(routes!(webhooks::receive_of_category))
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
