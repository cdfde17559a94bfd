use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
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
    /// In which header a proxy says who somebody is; `None`: nobody is believed.
    #[serde(deserialize_with = "header")]
    pub proxy_header: Option<HeaderName>,
    /// Where the proxy connects from.
    #[serde(deserialize_with = "form::networks")]
    pub trusted_proxies: Vec<IpNet>,
}

impl Console {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let is_long = |duration: Duration| duration >= Duration::from_mins(1);
        let reason = "expected at least 1m";
        Fault::unless(is_long(self.session_idle), "console.session_idle", reason)?;
        Fault::unless(is_long(self.session_total), "console.session_total", reason)?;
        self.check_proxy()
    }

    fn check_proxy(&self) -> Result<(), Fault> {
        let key = "console.trusted_proxies";
        let is_of_all = |network: &IpNet| network.prefix_len() == 0;
        let reason = "that is everybody, who could then be anybody; name the addresses the proxy connects from";
        Fault::unless(!self.trusted_proxies.iter().any(is_of_all), key, reason)?;
        let is_believed = self.proxy_header.is_some();
        let reason = "empty, though console.proxy_header is set; name the addresses the proxy connects from, such as \
                      10.1.2.3";
        let is_named = !self.trusted_proxies.is_empty();
        Fault::unless(is_named || !is_believed, key, reason)?;
        let reason = "empty, though console.trusted_proxies is set; name the header in which the proxy says who \
                      somebody is, or empty both";
        Fault::unless(is_believed || !is_named, "console.proxy_header", reason)
    }
}

/// The name of a header that only a proxy sets; empty for none.
fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HeaderName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_every_clients = |name: &HeaderName| {
        ["authorization", "cookie", "host", "origin", "user-agent"].contains(&name.as_str())
    };
    let name = text.parse().ok();
    let name = name.filter(|name| !is_every_clients(name));
    name.map(Some).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is no header that a proxy tells a name in; write one such as X-Auth-Request-Email"
        ))
    })
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
