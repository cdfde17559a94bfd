use std::net::SocketAddr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Fault, form};

/// Shortest bootstrap key: what people type by hand is guessed.
const MIN_KEY_CHARS: usize = 16;

/// What a semaphore can count on every machine.
const LARGEST_BUFFER: usize = u32::MAX as usize;

/// What we listen on, and what we accept. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    #[serde(deserialize_with = "form::address")]
    pub listen: SocketAddr,
    /// The bootstrap key, which has all scopes.
    #[serde(deserialize_with = "form::optional_secret")]
    pub api_key: Option<SecretString>,
    /// Longest body of an API request.
    pub body_limit_bytes: usize,
    /// Longest body of a webhook.
    pub webhook_body_limit_bytes: usize,
    /// Bytes of webhooks under way at once.
    pub webhook_buffer_bytes: usize,
    /// How long a body may take to arrive.
    #[serde(deserialize_with = "form::duration")]
    pub body_timeout: Duration,
}

impl Http {
    pub(super) fn check(&self) -> Result<(), Fault> {
        if let Some(key) = &self.api_key {
            let key = key.expose_secret();
            let is_long = key.chars().count() >= MIN_KEY_CHARS;
            let reason = "expected at least 16 characters; make one with `openssl rand -base64 32`";
            Fault::unless(is_long, "http.api_key", reason)?;
            let is_plain = key.chars().all(|c| c.is_ascii_graphic());
            let reason = "expected visible ASCII without spaces: it travels in a header";
            Fault::unless(is_plain, "http.api_key", reason)?;
        }
        let enough = "expected at least 1024 bytes";
        Fault::unless(
            self.body_limit_bytes >= 1024,
            "http.body_limit_bytes",
            enough,
        )?;
        Fault::unless(
            self.webhook_body_limit_bytes >= 1024,
            "http.webhook_body_limit_bytes",
            enough,
        )?;
        let is_enough =
            (self.webhook_body_limit_bytes..=LARGEST_BUFFER).contains(&self.webhook_buffer_bytes);
        let reason = "expected at least http.webhook_body_limit_bytes, and at most 4 GiB";
        Fault::unless(is_enough, "http.webhook_buffer_bytes", reason)?;
        let is_positive = !self.body_timeout.is_zero();
        Fault::unless(is_positive, "http.body_timeout", "expected more than zero")
    }
}
