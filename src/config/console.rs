use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{Fault, form};

/// The console. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Where people reach it, such as `https://ops.example.com`; `None`: where it listens.
    #[serde(deserialize_with = "origin")]
    pub public_origin: Option<String>,
    /// The longest time between two requests of a session.
    #[serde(deserialize_with = "form::duration")]
    pub session_idle: Duration,
    /// The longest life of a session.
    #[serde(deserialize_with = "form::duration")]
    pub session_total: Duration,
}

impl Console {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let is_long = |duration: Duration| duration >= Duration::from_mins(1);
        let reason = "expected at least 1m";
        Fault::unless(is_long(self.session_idle), "console.session_idle", reason)?;
        Fault::unless(is_long(self.session_total), "console.session_total", reason)
    }
}

/// Scheme, host and port of a URL without more; empty for none.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_origin = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    };
    let url = Url::parse(&text).ok().filter(is_origin);
    url.map(|url| Some(url.origin().ascii_serialization())).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is no origin; write scheme, host and port only, such as https://ops.example.com"
        ))
    })
}
