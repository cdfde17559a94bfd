//! One job, with all that is known of it.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use queue::notes::Notes;
use queue::{JobDetail, JobId};
use serde_json::Value;
use store::audit::{self, Entry, EntryFilter};

use super::time;
use crate::cli::answer::{Answer, Look};
use crate::cli::audit::entries_table;
use crate::cli::desk::Desk;
use crate::cli::table::{Cell, Facts, Table, harmless, lines, maybe, section, state};
use crate::ops::jobs::told;
use crate::ops::redact;
use crate::ops::words::{stamp, took};

/// Entries of the audit log that are shown with it.
const ENTRIES: u16 = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Its id.
    id: JobId,
    #[command(flatten)]
    look: Look,
}

impl Show {
    pub(super) async fn run(&self, desk: &Desk) -> anyhow::Result<()> {
        self.look.show(async || self.answer(desk).await).await
    }

    async fn answer(&self, desk: &Desk) -> anyhow::Result<Answer> {
        let id = self.id;
        let detail = desk.queue.detail(id).await?;
        let detail = detail.ok_or(queue::Error::NoSuchJob { id })?;
        let mut conn = desk.pool.acquire().await?;
        let target = id.to_string();
        let filter = EntryFilter {
            target: Some(&target),
            before: None,
        };
        let entries = audit::list(&mut conn, &filter, ENTRIES).await?;
        drop(conn);
        let text = text(&detail, &entries, desk.now().await?);
        Answer::new(text, &json(&detail, &entries)?)
    }
}

/// As it is, without what nobody is to see.
fn json(detail: &JobDetail, entries: &[Entry]) -> anyhow::Result<Value> {
    let mut json = serde_json::to_value(detail).context("cannot write JSON")?;
    json["payload"] = redact::redacted(&detail.payload);
    json["job"]["result"] = detail.job.result.as_ref().map(redact::redacted).into();
    json["audit"] = serde_json::to_value(entries).context("cannot write JSON")?;
    Ok(json)
}

fn text(detail: &JobDetail, entries: &[Entry], now: DateTime<Utc>) -> String {
    let job = &detail.job;
    let mut text = facts(detail, now).shown();
    let why = detail.why_not_running.clone().or_else(|| told(job, now));
    if let Some(why) = why {
        text = format!("{}\n\n{text}", harmless(&why.to_string()));
    }
    text += &section("attempts", &attempts(detail, now).shown());
    text += &told_by_attempts(detail);
    if let Some(error) = &job.last_error {
        text += &section("last error, or why it waits", &lines(error));
    }
    text += &section("payload", &lines(&redact::shown(&detail.payload)));
    if let Some(result) = &job.result {
        text += &section("result", &lines(&redact::shown(result)));
    }
    if !detail.children.is_empty() {
        let ids: Vec<String> = detail.children.iter().map(ToString::to_string).collect();
        text += &section("it enqueued", &lines(&ids.join("\n")));
    }
    if !entries.is_empty() {
        text += &section("what people did to it", &entries_table(entries).shown());
    }
    text
}

fn facts(detail: &JobDetail, now: DateTime<Utc>) -> Facts {
    let job = &detail.job;
    let mut facts = Facts::default();
    facts.add("id", job.id);
    facts.add("kind", &job.kind);
    facts.add("state", job.state.as_str());
    facts.add("queue", &job.queue);
    facts.add("lane", &job.lane);
    facts.maybe("organization", job.organization_id.as_ref());
    facts.add(
        "attempt",
        format!("{} of {}", job.attempt, job.max_attempts),
    );
    facts.add("priority", detail.priority);
    facts.add("enqueued", time(job.created_at, now));
    if !job.state.has_ended() {
        facts.add("earliest start", time(job.run_at, now));
    }
    facts.maybe("ended", job.finished_at.map(|at| time(at, now)));
    facts.maybe("unique key", detail.unique_key.as_ref());
    facts.maybe("limit key", detail.limit_key.as_ref());
    facts.add("tags", detail.tags.join(", "));
    facts.maybe("trace", job.trace_context.as_ref());
    facts.maybe("group", detail.fingerprint.as_ref());
    facts.maybe("enqueued by", job.parent_id);
    facts
}

/// What the attempts left: the requests they made, the lines they logged.
fn told_by_attempts(detail: &JobDetail) -> String {
    let told = detail.timeline.iter().filter_map(|span| {
        let notes = span.notes.as_ref()?;
        let mut text = String::new();
        if !notes.requests.is_empty() {
            let title = format!("attempt {} asked Merge", span.attempt);
            text += &section(&title, &requests(notes).shown());
        }
        if !notes.lines.is_empty() {
            let title = format!("attempt {} logged", span.attempt);
            text += &section(&title, &logged(notes).shown());
        }
        Some(text)
    });
    told.collect()
}

fn requests(notes: &Notes) -> Table {
    let names = ["after", "method", "path", "status", "took", "request id"];
    let mut table = Table::new(&names);
    for request in &notes.requests {
        table.row([
            Cell::from(format!("{} ms", request.after_ms)),
            Cell::from(&request.method),
            Cell::from(&request.path),
            maybe(request.status),
            Cell::from(format!("{} ms", request.took_ms)),
            maybe(request.request_id.as_ref()),
        ]);
    }
    table
}

fn logged(notes: &Notes) -> Table {
    let mut table = Table::new(&["after", "level", "line"]);
    for line in &notes.lines {
        table.row([
            Cell::from(format!("{} ms", line.after_ms)),
            Cell::from(&line.level),
            Cell::from(&line.text),
        ]);
    }
    table
}

fn attempts(detail: &JobDetail, now: DateTime<Utc>) -> Table {
    let names = [
        "attempt", "outcome", "began", "took", "worker", "class", "http", "message",
    ];
    let mut table = Table::new(&names);
    for span in &detail.timeline {
        table.row([
            Cell::from(span.attempt),
            state(&span.outcome),
            Cell::from(stamp(span.started_at)),
            Cell::from(took(span.finished_at.unwrap_or(now) - span.started_at)),
            maybe(span.worker),
            maybe(span.error_class.as_ref()),
            maybe(span.http_status),
            Cell::from(span.message.as_deref().unwrap_or_default()),
        ]);
    }
    table
}
