//! The keys that the product calls the API with, and that may log in to the console.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use phrases::{mark, say};
use serde::Deserialize;
use serde_json::json;
use store::ApiKeyId;
use store::api_keys::{self, NewApiKey};
use utoipa::ToSchema;

use super::{Deed, Error, Ops};
use crate::api::ApiKey;

/// Keys read in one query.
const PAGE: u16 = 200;
/// Longest name, and longest id of an organization, in bytes.
const MAX_BYTES: usize = 300;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Link, relink and delete accounts.
    Link,
    /// Read accounts, records and jobs; look at the console.
    Read,
    /// Say where events are sent to.
    Endpoints,
    /// Put things right in the console.
    Operate,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Link,
        Self::Read,
        Self::Endpoints,
        Self::Operate,
        Self::Admin,
    ];

    /// The name as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Read => "read",
            Self::Endpoints => "endpoints",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// What it allows, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Link => mark!("link, relink and delete accounts"),
            Self::Read => mark!("read accounts, records and jobs; look at the console"),
            Self::Endpoints => mark!("say where events are sent to"),
            Self::Operate => mark!("put things right in the console"),
            Self::Admin => mark!("everything"),
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people will know it by.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The only organization it may act for; `None`: all.
    pub organization_id: Option<String>,
    /// When it ceases to be valid; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// How a key is, in one word: `valid`, `expired` or `revoked`.
pub fn state(key: &api_keys::ApiKey, now: DateTime<Utc>) -> &'static str {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => mark!("revoked"),
        (None, Some(expires)) if expires <= now => mark!("expired"),
        (None, _) => mark!("valid"),
    }
}

impl NewKey {
    fn check(&self) -> Result<(), Error> {
        let is_fine = |text: &str| {
            let text = text.trim();
            !text.is_empty() && text.len() <= MAX_BYTES && !text.contains(char::is_control)
        };
        let rule = if !is_fine(&self.name) {
            say!("a key's name has 1 to 300 bytes, on one line")
        } else if !self.organization_id.as_deref().is_none_or(is_fine) {
            say!("the id of an organization has 1 to 300 bytes, on one line")
        } else if self.scopes.is_empty() {
            say!("a key without a scope may do nothing: choose at least one")
        } else {
            return Ok(());
        };
        Err(Error::Refused(rule))
    }
}

impl Ops {
    /// Makes a key: now or never, for only its digest is stored.
    pub async fn create_key(&self, new: &NewKey) -> Result<(ApiKeyId, ApiKey), Error> {
        self.demand(Deed::KeyCreate)?;
        new.check()?;
        let key = ApiKey::generate();
        let scopes: Vec<String> = new
            .scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect();
        let row = NewApiKey {
            name: new.name.trim(),
            prefix: key.prefix(),
            key_hash: key.digest(),
            scopes: &scopes,
            organization_id: new.organization_id.as_deref().map(str::trim),
            expires_at: new.expires_at,
        };
        let mut change = self.begin(Deed::KeyCreate).await?;
        let id = api_keys::create(change.connection(), &row).await?;
        let detail = json!({
            "name": row.name, "prefix": row.prefix, "scopes": scopes,
            "organization_id": row.organization_id, "expires_at": row.expires_at,
        });
        change.done(&id.to_string(), None, detail).await?;
        Ok((id, key))
    }

    /// All keys, without the keys, the oldest first; also those that were revoked.
    pub async fn keys(&self) -> Result<Vec<api_keys::ApiKey>, Error> {
        let mut conn = self.pool.acquire().await?;
        let mut keys: Vec<api_keys::ApiKey> = Vec::new();
        loop {
            let last = keys.last().map(|key| key.id);
            let page = api_keys::list(&mut conn, last, PAGE).await?;
            let is_last = page.len() < usize::from(PAGE);
            keys.extend(page);
            if is_last {
                return Ok(keys);
            }
        }
    }

    /// Withdraws a key for good; what was begun with it at the console ends at once.
    pub async fn revoke_key(&self, id: ApiKeyId) -> Result<(), Error> {
        let mut change = self.begin(Deed::KeyRevoke).await?;
        if !api_keys::revoke(change.connection(), id).await? {
            return Err(Error::Missing(mark!("key")));
        }
        change.done(&id.to_string(), None, json!({})).await
    }
}
