//! What people changed.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use store::audit::{self, Entry, EntryFilter};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    jobs::{cut, encoded},
    page::{self, Frame},
    shown::When,
    told::filters,
};
use crate::app::App;

/// Entries on a page.
const PAGE: u16 = 100;

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    target: String,
    entries: Vec<EntryRow>,
    next: Option<String>,
}

/// An entry, as it is shown.
#[derive(Debug)]
pub(super) struct EntryRow {
    pub(super) position: i64,
    pub(super) when: When,
    pub(super) actor: String,
    pub(super) role: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) reason: String,
    pub(super) detail: String,
}

impl EntryRow {
    pub(super) fn of(entry: Entry, now: DateTime<Utc>) -> Self {
        let detail = if entry.detail == "{}" {
            String::new()
        } else {
            entry.detail
        };
        Self {
            position: entry.position,
            when: When::new(entry.at, now),
            actor: entry.actor,
            role: entry.role,
            action: entry.action,
            target: cut(&entry.target, 80),
            reason: entry.reason.unwrap_or_default(),
            detail: cut(&detail, 500),
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let filter = EntryFilter {
        target: query.text("target"),
        before: query.parsed("before", mark!("must be a place in the list"))?,
    };
    let mut conn = app.pool.acquire().await?;
    let entries = audit::list(&mut conn, &filter, PAGE).await?;
    let target = query.text("target").unwrap_or_default().to_owned();
    let last = entries
        .last()
        .filter(|_| entries.len() == usize::from(PAGE));
    page::render(
        visit.reader,
        &AuditPage {
            frame: Frame::of(&visit, "audit", say!("Audit")),
            next: last.map(|last| format!("?target={}&before={}", encoded(&target), last.position)),
            entries: entries
                .into_iter()
                .map(|entry| EntryRow::of(entry, visit.now))
                .collect(),
            target,
        },
    )
}
