//! Deliveries as people read them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use store::webhook_deliveries::{self, DeliveryView, Tally};

use crate::cli::answer::Answer;
use crate::cli::desk::Desk;
use crate::cli::table::{Cell, Facts, Table, maybe, state};
use crate::config::Config;
use crate::ops::words::took;
use crate::webhook_secrets::WebhookSecrets;

/// Deliveries, a line each.
pub(super) fn table(deliveries: &[DeliveryView]) -> Table {
    let mut table = Table::new(&["id", "received", "verdict", "event", "account", "detail"]);
    for delivery in deliveries {
        table.row([
            Cell::from(delivery.id),
            Cell::from(time(delivery.received_at)),
            state(delivery.verdict.as_str()),
            maybe(delivery.event.as_ref()),
            maybe(delivery.account_id),
            Cell::from(delivery.verdict_detail.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// One, a line for each thing known of it.
pub(super) fn facts(delivery: &DeliveryView) -> Facts {
    let judged = delivery.processed_at.map(|at| {
        let latency = at - delivery.received_at;
        format!("{} ({} later)", time(at), took(latency))
    });
    let jobs = delivery.job_ids.as_deref().unwrap_or_default();
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let mut facts = Facts::default();
    facts.add("id", delivery.id);
    facts.add("received", time(delivery.received_at));
    facts.add("verdict", delivery.verdict.as_str());
    facts.maybe("detail", delivery.verdict_detail.as_ref());
    facts.maybe("processed", judged);
    facts.maybe("event", delivery.event.as_ref());
    facts.maybe("account", delivery.account_id);
    facts.maybe("account at Merge", delivery.merge_account_id.as_ref());
    facts.maybe("duplicate of", delivery.duplicate_of);
    facts.add("replays", delivery.replays);
    facts.add("jobs", jobs.join(" "));
    facts.add("secret", &delivery.secret_id);
    facts.add("SHA-256", &delivery.body_hash);
    facts.add("bytes, sealed", delivery.sealed_bytes);
    facts
}

/// Counts, and the secrets: those in use, and those that are configured.
pub(super) async fn stats(desk: &Desk, config: &Config, last: Duration) -> anyhow::Result<Answer> {
    let mut conn = desk.pool.acquire().await?;
    let tallies = webhook_deliveries::tally(&mut conn, last).await?;
    let used = webhook_deliveries::secrets(&mut conn).await?;
    drop(conn);
    let active = WebhookSecrets::new(config.merge.webhook_secrets.clone()).active();
    let is_active = |id: &String| active.ids().contains(id);
    let is_unused = |id: &&String| !used.iter().any(|used| used.id == **id);
    let unused: Vec<&String> = active.ids().iter().filter(is_unused).collect();
    let used_json = used.iter().map(|used| {
        json!({
            "id": used.id, "is_active": is_active(&used.id),
            "first_used_at": used.first_used_at, "last_used_at": used.last_used_at,
        })
    });
    let unused_json = unused
        .iter()
        .map(|id| json!({ "id": id, "is_active": true }));
    let secrets_json: Vec<_> = used_json.chain(unused_json).collect();
    let mut secrets = Table::new(&["secret", "state", "first used", "last used"]);
    for used in &used {
        let name = if is_active(&used.id) {
            "active"
        } else {
            "retired"
        };
        let times = [used.first_used_at, used.last_used_at].map(|at| Cell::from(time(at)));
        secrets.row([Cell::from(&used.id), state(name)].into_iter().chain(times));
    }
    for id in unused {
        let never = ["never", "never"].map(Cell::from);
        secrets.row([Cell::from(id), state("active")].into_iter().chain(never));
    }
    let text = counts(&tallies).shown() + "\n" + &secrets.shown();
    Answer::new(
        text,
        &json!({ "deliveries": tallies, "secrets": secrets_json }),
    )
}

fn counts(tallies: &[Tally]) -> Table {
    let names = [
        "event",
        "verdict",
        "deliveries",
        "median, s",
        "longest, s",
        "last",
    ];
    let mut table = Table::new(&names);
    let seconds = |seconds: Option<f64>| maybe(seconds.map(|s| format!("{s:.3}")));
    for tally in tallies {
        table.row([
            maybe(tally.event.as_ref()),
            state(tally.verdict.as_str()),
            Cell::from(tally.deliveries),
            seconds(tally.median_seconds),
            seconds(tally.longest_seconds),
            Cell::from(time(tally.last_received_at)),
        ]);
    }
    table
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
