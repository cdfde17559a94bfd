//! Endpoints as people read them.

use chrono::{DateTime, SecondsFormat, Utc};
use store::webhook_endpoints::Endpoint;

use crate::cli::table::{Cell, Facts, Table};

/// A line each.
pub(super) fn table(endpoints: &[Endpoint]) -> Table {
    let names = [
        "id",
        "organization",
        "state",
        "position",
        "delivered",
        "url",
    ];
    let mut table = Table::new(&names);
    for endpoint in endpoints {
        let never = || "never".to_owned();
        table.row([
            Cell::from(endpoint.id),
            Cell::from(endpoint.organization_id.as_deref().unwrap_or("all")),
            Cell::from(state(endpoint)),
            Cell::from(endpoint.position),
            Cell::from(endpoint.delivered_at.map_or_else(never, time)),
            Cell::from(&endpoint.url),
        ]);
    }
    table
}

/// One, a line for each thing known of it.
pub(super) fn facts(endpoint: &Endpoint) -> Facts {
    let types = endpoint.event_types.as_ref().map(|types| types.join(", "));
    let since = endpoint.disabled_at.or(endpoint.failing_since);
    let next = endpoint.retry_at.filter(|_| endpoint.disabled_at.is_none());
    let old = endpoint.has_old_secret.then_some("signs as well");
    let mut facts = Facts::default();
    facts.add("id", endpoint.id);
    facts.add("url", &endpoint.url);
    facts.maybe("description", endpoint.description.as_ref());
    facts.add(
        "organization",
        endpoint.organization_id.as_deref().unwrap_or("all"),
    );
    facts.add("event types", types.as_deref().unwrap_or("all"));
    facts.add("state", state(endpoint));
    facts.maybe("since", since.map(time));
    facts.maybe("last error", endpoint.last_error.as_ref());
    facts.maybe("next attempt", next.map(time));
    facts.add("position", endpoint.position);
    facts.maybe("delivered", endpoint.delivered_at.map(time));
    facts.maybe("old secret", old);
    facts.add("made", time(endpoint.created_at));
    facts
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
