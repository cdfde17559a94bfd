//! Who calls: API keys as `Authorization: Bearer …`, their scopes, and the organization they act for.
//!
//! The bootstrap key of the settings has every scope and may act for every organization. All others
//! are rows of `api_keys`, found by the digest of the key. What a key may not see does not exist for
//! it: a foreign organization's things answer 404, never 403.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request::Parts};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, Transaction};
use store::{api_keys, tenant};
use subtle::ConstantTimeEq;

use super::{
    key::ApiKey,
    problem::{Kind, Problem},
};
use crate::app::App;
use crate::ops::{Actor, Role, access};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Link, relink and delete accounts.
    Link,
    /// Read accounts, records and jobs.
    Read,
    /// Say where events are sent to.
    Endpoints,
}

impl Scope {
    /// The name in `api_keys.scopes`. A key with `admin` has every scope.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Read => "read",
            Self::Endpoints => "endpoints",
        }
    }
}

/// The key behind a request.
#[derive(Debug, Clone)]
pub(super) struct Principal {
    /// Names the key: its row's id, or `bootstrap`. Idempotency keys belong to it.
    id: String,
    /// The only organization the key may act for; `None` for any.
    organization_id: Option<String>,
    /// Its scopes; `None` for all.
    scopes: Option<Vec<String>>,
    /// For people who read what was done with it.
    name: String,
}

impl Principal {
    /// Names the key, without telling it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// May the key see what belongs to this organization?
    pub(super) fn may_see(&self, organization_id: &str) -> bool {
        self.organization_id
            .as_deref()
            .is_none_or(|own| own == organization_id)
    }

    /// The only organization the key may act for; `None` for any.
    pub(super) fn organization_id(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }

    /// A transaction in the name of the key: one that is bound to an organization sees nothing else in it, whatever the
    /// queries say (see [`store::tenant`]).
    pub(super) async fn begin(&self, app: &App) -> Result<Transaction<'static, Postgres>, Problem> {
        let mut transaction = app.pool.begin().await?;
        if let Some(organization_id) = &self.organization_id {
            tenant::enter(&mut transaction, organization_id).await?;
        }
        Ok(transaction)
    }

    /// Goes on in our own name, to enqueue what the key may ask for.
    pub(super) async fn leave(&self, connection: &mut PgConnection) -> Result<(), Problem> {
        if self.organization_id.is_some() {
            tenant::leave(connection).await?;
        }
        Ok(())
    }

    /// Who they are to those who operate the service; `None` when no scope gives a role.
    pub(super) fn actor(&self) -> Option<Actor> {
        let role = match &self.scopes {
            Some(scopes) => access::role_of(scopes)?,
            None => Role::Admin,
        };
        Some(Actor {
            name: self.name.clone(),
            role,
        })
    }

    fn has(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| {
            scopes
                .iter()
                .any(|held| held == scope.as_str() || held == "admin")
        })
    }
}

/// Every request of a route that needs a key has a principal: [`Gate`] put it there.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let principal = parts.extensions.get::<Self>().cloned();
        Ok(principal.expect("a route whose handler takes a principal stands behind a gate"))
    }
}

/// Lets only keys with a scope pass; the state of [`admit`].
#[derive(Clone)]
pub(super) struct Gate {
    /// Where keys are looked up.
    pub(super) app: App,
    /// What the routes behind it need.
    pub(super) scope: Scope,
}

/// Middleware: 401 without a valid key, 403 without the scope, before anything of the body is read.
pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match authenticate(&gate.app, request.headers()).await {
        Ok(principal) if principal.has(gate.scope) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Ok(_) => {
            let detail = format!("This needs a key with the scope `{}`.", gate.scope.as_str());
            Problem::new(Kind::MissingScope, detail).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whose key it is.
pub(super) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let token =
        bearer(headers).ok_or_else(|| unauthenticated("Authorization: Bearer is missing."))?;
    if let Some(bootstrap) = &app.config.http.api_key
        && is_same(token, bootstrap.expose_secret())
    {
        return Ok(Principal {
            id: "bootstrap".to_owned(),
            organization_id: None,
            scopes: None,
            name: access::BOOTSTRAP.to_owned(),
        });
    }
    let unknown = || unauthenticated("The API key is not valid.");
    let key = ApiKey::parse(token).ok_or_else(unknown)?;
    let mut connection = app.pool.acquire().await?;
    let row = api_keys::find_valid(&mut connection, &key.digest())
        .await?
        .ok_or_else(unknown)?;
    api_keys::touch(&mut connection, row.id).await?;
    Ok(Principal {
        id: row.id.to_string(),
        organization_id: row.organization_id,
        scopes: Some(row.scopes),
        name: access::key_name(&row.name, &row.prefix),
    })
}

fn unauthenticated(detail: &'static str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
}

/// The token of the only `Authorization` header, if it is a bearer token.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Compares digests, so that neither content nor length of the key can be timed.
fn is_same(given: &str, expected: &str) -> bool {
    Sha256::digest(given)
        .ct_eq(&Sha256::digest(expected))
        .into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn takes_exactly_one_bearer_token() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&["Bearer abc"], Some("abc")),
            (&["bearer  abc "], Some("abc")),
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Basic abc"], None),
            (&["Bearer abc", "Bearer abc"], None),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(line));
            }
            assert_eq!(bearer(&headers), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_key_of_one_organization_sees_nothing_of_others() {
        let own = Principal {
            id: "k".to_owned(),
            organization_id: Some("a".to_owned()),
            scopes: Some(vec!["read".to_owned()]),
            name: "k".to_owned(),
        };
        assert!(own.may_see("a") && !own.may_see("b"));
        assert!(own.has(Scope::Read) && !own.has(Scope::Link));
    }
}
