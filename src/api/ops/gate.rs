//! Who operates the service through the API: keys that are bound to no organization, as what their scopes make of them.
//!
//! What a deed needs is decided by [`crate::ops`], here as in the console, and before the body is read. Under an
//! `Idempotency-Key` a deed is done once: the key is noted in the deed's own transaction, and whoever asks again is told
//! what the first came to.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::{Done, problems::no_scope};
use crate::api::{
    auth::{Principal, authenticate},
    extract::read_json,
    intake::Claim,
    problem::{Kind, Problem},
};
use crate::app::App;
use crate::ops::{Deed, Ops};

/// What the routes behind it do; the state of [`admit`].
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: App,
    /// `None`: they only show something.
    pub(super) deed: Option<Deed>,
}

/// Middleware: puts the service into the hands of the key, if it may do what is asked for.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match enter(&gate, request).await {
        Ok(Entered::Now(request)) => next.run(*request).await,
        Ok(Entered::Before(done)) => done.again(),
        Err(problem) => problem.into_response(),
    }
}

enum Entered {
    /// Go on.
    Now(Box<Request>),
    /// An earlier request with the same key did it.
    Before(Done),
}

async fn enter(gate: &Gate, request: Request) -> Result<Entered, Problem> {
    let app = &gate.app;
    let principal = authenticate(app, request.headers()).await?;
    let mut ops = hands(gate, &principal)?;
    if let Some(deed) = gate.deed {
        ops.demand(deed)?;
    }
    let (mut parts, mut body) = request.into_parts();
    if gate.deed.is_some()
        && let Some(key) = Claim::key_of(&parts.headers)?
    {
        let bytes = read_json(Request::from_parts(parts.clone(), body), app).await?;
        let claim = Claim::new(&principal, &parts.uri, key, &bytes);
        if let Some(accepted) = claim.earlier(app).await? {
            return Ok(Entered::Before(Done::of_stored(accepted.job_id)));
        }
        ops = ops.once(claim.into());
        body = bytes.into();
    }
    parts.extensions.insert(ops);
    let request = Request::from_parts(parts, body);
    Ok(Entered::Now(Box::new(request)))
}

fn hands(gate: &Gate, principal: &Principal) -> Result<Ops, Problem> {
    if principal.organization_id().is_some() {
        return Err(Problem::new(
            Kind::BoundKey,
            "This key is for one organization; who operates the service sees all. Take a key without `--organization`.",
        ));
    }
    let actor = principal.actor().ok_or_else(|| no_scope(gate.deed))?;
    let app = &gate.app;
    Ok(Ops::new(app.pool.clone(), app.queue.clone(), actor))
}

/// Every request of a route behind [`admit`] has the service in its hands.
impl<S: Sync> FromRequestParts<S> for Ops {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let ops = parts.extensions.get::<Self>().cloned();
        Ok(ops.expect("a route whose handler operates the service stands behind the gate"))
    }
}
