//! The console: pages for people, below `/console`.
//!
//! Rendered here, from templates that are checked when they are compiled; every view is a URL, every action is a form,
//! and nothing needs JavaScript. The one script keeps what is shown up to date and listens to keys. All links are
//! relative, so that a proxy may serve the console below any path.
//!
//! | layer, from the outside | does |
//! |---|---|
//! | `dress` | security headers; gives each fault its page |
//! | `isolate` | runs the request to its end, whatever becomes of the caller |
//! | `admit` | who is it; did a form of ours send it |
//! | handler | reads, or asks [`crate::ops`], which decides who may do what |

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};

use crate::api::isolate;
use crate::app::App;

mod account;
mod accounts;
mod assets;
mod audit;
mod bulk;
mod dead;
mod fault;
mod guard;
mod job;
mod jobs;
mod keys;
mod language;
mod live;
mod login;
mod overview;
mod page;
mod proxy;
mod pulse;
mod query;
mod queues;
mod schedules;
mod search;
mod shown;
mod times;
mod told;
mod users;
mod webhooks;
mod workers;

pub use pulse::Pulse;

/// Every page and every action.
pub fn router(app: App) -> Router {
    let reading = Router::new()
        .route("/console/", get(overview::show))
        .route("/console/jobs", get(jobs::list))
        .route("/console/jobs/{id}", get(job::show))
        .route("/console/dead", get(dead::list))
        .route("/console/dead/{fingerprint}", get(dead::show))
        .route("/console/bulk", get(bulk::list).post(bulk::prepare))
        .route("/console/bulk/{id}", get(bulk::show))
        .route("/console/queues", get(queues::show))
        .route("/console/workers", get(workers::list))
        .route("/console/schedules", get(schedules::list))
        .route("/console/webhooks", get(webhooks::list))
        .route("/console/webhooks/{id}", get(webhooks::show))
        .route("/console/accounts", get(accounts::list))
        .route("/console/accounts/{id}", get(account::show))
        .route("/console/users", get(users::list))
        .route("/console/keys", get(keys::list))
        .route("/console/audit", get(audit::list))
        .route("/console/search", get(search::find))
        .route("/console/live", get(live::follow));
    let acting = Router::new()
        .route("/console/jobs/{id}/{action}", post(job::act))
        .route("/console/dead/{fingerprint}/{action}", post(dead::act))
        .route("/console/bulk/{id}/{action}", post(bulk::act))
        .route("/console/queues/{action}", post(queues::act))
        .route("/console/workers/{id}/{action}", post(workers::act))
        .route("/console/schedules/{name}/{action}", post(schedules::act))
        .route("/console/webhooks/{id}/{action}", post(webhooks::act))
        .route("/console/accounts/{id}/{action}", post(account::act))
        .route("/console/users/{action}", post(users::act))
        .route("/console/keys/{action}", post(keys::act))
        .route("/console/logout", post(login::log_out));
    let open = Router::new()
        .route("/console", get(overview::redirect))
        .route("/console/login", get(login::show).post(login::log_in))
        .route("/console/theme", post(login::set_theme))
        .route("/console/reading", post(login::set_reading))
        .route("/console/assets/{name}", get(assets::serve));
    reading
        .merge(acting)
        .route("/console/{*rest}", get(fault::nothing_here))
        .route_layer(from_fn_with_state(app.clone(), guard::admit))
        .merge(open)
        // Not `layer`: that would dress what is nobody's address, too, which is the API's to answer.
        .route_layer(from_fn_with_state(app.clone(), isolate))
        .route_layer(from_fn(fault::dress))
        .with_state(app)
}
