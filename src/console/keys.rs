//! The keys of the API: what each may, when it was last used, and an end to it.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use store::ApiKeyId;
use store::api_keys;

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    page::{self, Frame},
    query::parse_time,
    shown::When,
    told::filters,
};
use crate::api::ApiKey;
use crate::app::App;
use crate::ops::keys::{self, NewKey, Scope};

#[derive(Debug, Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    scopes: [(&'static str, &'static str); 5],
    keys: Vec<KeyRow>,
    /// A key that was just made, and its name: shown now or never.
    new: Option<(String, ApiKey)>,
}

#[derive(Debug)]
struct KeyRow {
    id: ApiKeyId,
    name: String,
    prefix: String,
    state: &'static str,
    scopes: String,
    organization: Option<String>,
    created: When,
    expires: Option<When>,
    last_used: Option<When>,
    is_valid: bool,
}

impl KeyRow {
    fn of(key: api_keys::ApiKey, now: DateTime<Utc>) -> Self {
        let state = keys::state(&key, now);
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.join(", "),
            organization: key.organization_id,
            created: When::new(key.created_at, now),
            expires: When::maybe(key.expires_at, now),
            last_used: When::maybe(key.last_used_at, now),
            is_valid: state == "valid",
            state,
        }
    }
}

async fn show(app: &App, visit: &Visit, new: Option<(String, ApiKey)>) -> Result<Response, Fault> {
    let all = visit.ops(app).keys().await?;
    let mut rows: Vec<_> = all
        .into_iter()
        .rev()
        .map(|key| KeyRow::of(key, visit.now))
        .collect();
    // Stable: the newest of those that count come first.
    rows.sort_by_key(|row| !row.is_valid);
    page::render(
        visit.reader,
        &KeysPage {
            frame: Frame::of(visit, "users", say!("API keys")),
            scopes: Scope::ALL.map(|scope| (scope.as_str(), scope.meaning())),
            keys: rows,
            new,
        },
    )
}

pub(super) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    show(&app, &visit, None).await
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let action: String = parameter(&path, "action", mark!("action"))?;
    let ops = visit.ops(&app);
    match action.as_str() {
        "create" => {
            let scopes = Scope::ALL.into_iter();
            let new = NewKey {
                name: form.need("name")?.to_owned(),
                scopes: scopes
                    .filter(|scope| form.text(scope.as_str()).is_some())
                    .collect(),
                organization_id: form.text("organization").map(str::to_owned),
                expires_at: form.text("expires_at").map(parse_time).transpose()?,
            };
            let (_, key) = ops.create_key(&new).await?;
            show(&app, &visit, Some((new.name, key))).await
        }
        "revoke" => {
            let id = form.parsed("id", mark!("must be the id of a key"))?;
            let id = id.ok_or_else(|| Fault::field("id", mark!("must not be empty")))?;
            ops.revoke_key(id).await?;
            let notice = say!("The key is revoked: from now on nothing is done with it.");
            visit.done(&app, "keys", notice).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
