use std::time::Duration;

use event_sender::Settings;
use ipnet::IpNet;
use serde::Deserialize;

use super::{Fault, form};

/// Where events are sent to. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Whether they may be `http://`.
    pub allow_plain_http: bool,
    /// Networks in which they may be although these are not public.
    #[serde(deserialize_with = "form::networks")]
    pub allowed_networks: Vec<IpNet>,
    /// Longest time for one delivery.
    #[serde(deserialize_with = "form::duration")]
    pub request_timeout: Duration,
    /// Failing for so long, one is disabled.
    #[serde(deserialize_with = "form::duration")]
    pub give_up_after: Duration,
}

impl Endpoints {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let is_sane =
            (Duration::from_secs(1)..=Duration::from_mins(1)).contains(&self.request_timeout);
        Fault::unless(is_sane, "endpoints.request_timeout", "expected 1s to 60s")?;
        let is_long = self.give_up_after >= Duration::from_mins(1);
        Fault::unless(is_long, "endpoints.give_up_after", "expected at least 1m")
    }

    /// As the sender wants them.
    pub fn sender(&self) -> Settings {
        Settings {
            allow_plain_http: self.allow_plain_http,
            allowed_networks: self.allowed_networks.clone(),
            request_timeout: self.request_timeout,
            ..Settings::default()
        }
    }
}
