use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de::Error as _};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Fault, form};

/// Logs, metrics and traces. See `config/default.toml` for each key.
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
    /// The collector that traces are sent to, by OTLP over HTTP.
    #[serde(deserialize_with = "collector")]
    pub otlp_endpoint: Option<Url>,
    /// The share of traces that is sent, of those that begin here.
    pub trace_ratio: f64,
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
            otlp_endpoint: None,
            trace_ratio: 0.0,
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let is_share = (0.0..=1.0).contains(&self.trace_ratio);
        let reason = "expected a share: 0 for none, 1 for all";
        Fault::unless(is_share, "telemetry.trace_ratio", reason)?;
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

/// Where a collector is, without the path of traces; empty for none.
fn collector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.path().ends_with("/v1/traces")
    };
    let url = Url::parse(&text).ok().filter(is_plain);
    // The text is left out: it may carry a password.
    url.map(Some).ok_or_else(|| {
        D::Error::custom(
            "no address of a collector; write one without user and /v1/traces, such as http://127.0.0.1:4318",
        )
    })
}
