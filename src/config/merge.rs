use std::time::Duration;

use jobs::Connections;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use super::{Fault, Need, form};

/// Shortest webhook secret that raises no eyebrow.
const USUAL_SECRET_CHARS: usize = 16;

/// Merge's API and its webhooks. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// Scheme, host and port.
    #[serde(deserialize_with = "form::url")]
    pub api_base: Url,
    /// Whether `http://` may lead off this machine.
    pub allow_plain_http: bool,
    /// The organisation's API key; empty only for commands that do not talk to Merge.
    pub api_key: SecretString,
    /// The signature keys of webhooks, newest first.
    #[serde(deserialize_with = "form::secrets")]
    pub webhook_secrets: Vec<SecretString>,
    /// How many connections an organization may have in a category.
    pub connections: Connections,
    /// Longest time for one call.
    #[serde(deserialize_with = "form::duration")]
    pub request_timeout: Duration,
    /// Longest answer, in bytes.
    pub max_body_bytes: usize,
    /// Requests for one linked account in any rolling minute.
    pub requests_per_minute: u32,
    /// Of these, how many at once.
    pub burst: u32,
    /// Error answers that the fleet may get in any rolling window.
    pub errors: u32,
    /// That window.
    #[serde(deserialize_with = "form::duration")]
    pub errors_window: Duration,
    /// Failed calls in a row after which an account is left alone.
    pub breaker_failures: u32,
    /// For how long at first.
    #[serde(deserialize_with = "form::duration")]
    pub breaker_pause: Duration,
    /// For how long at most.
    #[serde(deserialize_with = "form::duration")]
    pub breaker_longest_pause: Duration,
}

impl Merge {
    pub(super) fn check(&self, need: Need) -> Result<(), Fault> {
        self.check_base()?;
        let key = self.api_key.expose_secret();
        let set = "not set; set MERGE_API_KEY or MERGE_API_KEY_FILE";
        Fault::unless(
            need == Need::Database || !key.is_empty(),
            "merge.api_key",
            set,
        )?;
        let is_plain = key.chars().all(|c| c.is_ascii_graphic());
        let reason = "expected visible ASCII without spaces: it travels in a header";
        Fault::unless(is_plain, "merge.api_key", reason)?;
        let is_long = self.request_timeout >= Duration::from_secs(1);
        Fault::unless(is_long, "merge.request_timeout", "expected at least 1s")?;
        let is_large = self.max_body_bytes >= 1 << 20;
        Fault::unless(
            is_large,
            "merge.max_body_bytes",
            "expected at least 1048576",
        )?;
        Fault::unless(
            self.requests_per_minute >= 2,
            "merge.requests_per_minute",
            "expected at least 2",
        )?;
        let is_less = (1..self.requests_per_minute).contains(&self.burst);
        let reason = "expected at least 1 and less than merge.requests_per_minute";
        Fault::unless(is_less, "merge.burst", reason)?;
        let is_sane = (1..=1_000).contains(&self.errors);
        Fault::unless(is_sane, "merge.errors", "expected 1 to 1000")?;
        let is_long = self.errors_window >= Duration::from_secs(1);
        Fault::unless(is_long, "merge.errors_window", "expected at least 1s")?;
        self.check_breaker()
    }

    fn check_breaker(&self) -> Result<(), Fault> {
        let is_sane = (1..=1_000).contains(&self.breaker_failures);
        Fault::unless(is_sane, "merge.breaker_failures", "expected 1 to 1000")?;
        let is_long = self.breaker_pause >= Duration::from_secs(1);
        Fault::unless(is_long, "merge.breaker_pause", "expected at least 1s")?;
        let longest = self.breaker_pause..=Duration::from_hours(24);
        let is_sane = longest.contains(&self.breaker_longest_pause);
        let reason = "expected at least merge.breaker_pause, and at most 24h";
        Fault::unless(is_sane, "merge.breaker_longest_pause", reason)
    }

    fn check_base(&self) -> Result<(), Fault> {
        const KEY: &str = "merge.api_base";
        let base = &self.api_base;
        let is_http = matches!(base.scheme(), "http" | "https") && base.host().is_some();
        Fault::unless(is_http, KEY, "expected https://host")?;
        let is_bare = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        Fault::unless(
            is_bare,
            KEY,
            "expected no credentials, query or fragment in it",
        )?;
        let is_safe = base.scheme() == "https" || self.allow_plain_http || is_loopback(base);
        let reason = "http:// would send the tokens in the clear; write https://, or allow it by \
                      merge.allow_plain_http";
        Fault::unless(is_safe, KEY, reason)
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.webhook_secrets.is_empty() {
            warnings.push(
                "no webhook secret is set (MERGE_WEBHOOK_SECRET): webhooks are answered 500, and only \
                 polling keeps accounts in step"
                    .to_owned(),
            );
        }
        let is_short = |secret: &SecretString| secret.expose_secret().len() < USUAL_SECRET_CHARS;
        if self.webhook_secrets.iter().any(is_short) {
            warnings
                .push("a webhook secret is shorter than 16 characters: is it whole?".to_owned());
        }
        warnings
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
