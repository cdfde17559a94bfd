use std::net::SocketAddr;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{Fault, form};

/// Logs and metrics. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// For people or for machines.
    pub log_format: LogFormat,
    /// A level or tracing's directives.
    pub filter: String,
    /// Where metrics are had instead of the address of the API.
    #[serde(deserialize_with = "form::optional_address")]
    pub metrics_listen: Option<SocketAddr>,
}

/// For whom logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text each, for people.
    Text,
    /// One JSON object each, for machines.
    Json,
}

impl Telemetry {
    /// Text on what is at least of this level, for commands that have no settings.
    pub(crate) fn for_people(level: &str) -> Self {
        Self {
            log_format: LogFormat::Text,
            filter: level.to_owned(),
            metrics_listen: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        EnvFilter::try_new(&self.filter)
            .map(drop)
            .map_err(|error| Fault {
                key: "telemetry.filter",
                reason: format!(
                    "{error}; write a level such as info, or directives such as info,queue=debug"
                ),
            })
    }
}
