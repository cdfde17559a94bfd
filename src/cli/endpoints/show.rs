//! Endpoints as people read them.

use std::io::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use store::webhook_endpoints::Endpoint;

/// A line each.
pub(super) fn table(endpoints: &[Endpoint]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<36}  {:<20}  {:<26}  {:>10}  {:<20}  url",
        "id", "organization", "state", "position", "delivered"
    )?;
    for endpoint in endpoints {
        writeln!(
            out,
            "{:<36}  {:<20}  {:<26}  {:>10}  {:<20}  {}",
            endpoint.id.to_string(),
            endpoint.organization_id.as_deref().unwrap_or("all"),
            state(endpoint),
            endpoint.position,
            endpoint
                .delivered_at
                .map_or_else(|| "never".to_owned(), time),
            endpoint.url
        )?;
    }
    Ok(())
}

/// One, a line for each thing known of it.
pub(super) fn lines(endpoint: &Endpoint) -> anyhow::Result<()> {
    let types = endpoint.event_types.as_ref().map(|types| types.join(", "));
    let lines = [
        ("id", Some(endpoint.id.to_string())),
        ("url", Some(endpoint.url.clone())),
        ("description", endpoint.description.clone()),
        (
            "organization",
            Some(
                endpoint
                    .organization_id
                    .clone()
                    .unwrap_or_else(|| "all".to_owned()),
            ),
        ),
        (
            "event types",
            Some(types.unwrap_or_else(|| "all".to_owned())),
        ),
        ("state", Some(state(endpoint))),
        (
            "since",
            endpoint.disabled_at.or(endpoint.failing_since).map(time),
        ),
        ("last error", endpoint.last_error.clone()),
        (
            "next attempt",
            endpoint
                .retry_at
                .filter(|_| endpoint.disabled_at.is_none())
                .map(time),
        ),
        ("position", Some(endpoint.position.to_string())),
        ("delivered", endpoint.delivered_at.map(time)),
        (
            "old secret",
            endpoint.has_old_secret.then(|| "signs as well".to_owned()),
        ),
        ("made", Some(time(endpoint.created_at))),
    ];
    let mut out = io::stdout().lock();
    for (name, value) in lines {
        if let Some(value) = value {
            writeln!(out, "{name:<14}  {value}")?;
        }
    }
    Ok(())
}

fn state(endpoint: &Endpoint) -> String {
    match endpoint.disabled_reason {
        Some(reason) => format!("disabled: {}", reason.as_str()),
        None if endpoint.failures > 0 => format!("failing: {} times", endpoint.failures),
        None => "enabled".to_owned(),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
