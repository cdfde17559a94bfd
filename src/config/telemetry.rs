use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::Fault;

/// Logs. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// For people or for machines.
    pub log_format: LogFormat,
    /// A level or tracing's directives.
    pub filter: String,
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
