//! What all pages have in common.

use std::any::Any;

use askama::Template;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode, header};
use phrases::{Part, Phrase, mark, say};

use super::{
    fault::Fault,
    guard::{Theme, Visit},
    language::Reader,
    told::{READER, Said, filters},
};
use crate::ops::{Deed, Role};

/// The pages of the bar: address, name, key behind `g`.
const TABS: [(&str, &str, char); 10] = [
    ("", mark!("Overview"), 'o'),
    ("jobs", mark!("Jobs"), 'j'),
    ("dead", mark!("Dead"), 'd'),
    ("queues", mark!("Queues"), 'q'),
    ("workers", mark!("Workers"), 'w'),
    ("schedules", mark!("Schedules"), 's'),
    ("webhooks", mark!("Webhooks"), 'h'),
    ("accounts", mark!("Accounts"), 'a'),
    ("users", mark!("Access"), 'c'),
    ("audit", mark!("Audit"), 'u'),
];

/// What stands around a page's own.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) title: Said,
    pub(super) tabs: &'static [(&'static str, &'static str, char)],
    /// Address of the tab that is marked.
    pub(super) tab: &'static str,
    /// Leads from this page to the console's own address.
    pub(super) root: String,
    pub(super) theme: Theme,
    /// To be sent back by each form.
    pub(super) token: String,
    pub(super) actor: String,
    pub(super) role: Role,
    pub(super) notice: Option<String>,
    /// When it was read, by the database's clock.
    pub(super) at: Said,
    /// Who they are.
    pub(super) you: Said,
    pub(super) reader: Reader,
    /// This page, from the console's own address.
    pub(super) here: String,
}

impl Frame {
    pub(super) fn of(visit: &Visit, tab: &'static str, title: Phrase) -> Self {
        Self {
            title: title.into(),
            tabs: &TABS,
            tab,
            root: visit.root.clone(),
            theme: visit.theme,
            token: visit.token.of_forms(),
            actor: visit.actor.name.clone(),
            role: visit.actor.role,
            notice: visit.notice.clone(),
            at: say!("at {now}", now = clock(visit.now)).into(),
            you: say!(
                "You are {name}, {role}",
                name = &visit.actor.name,
                role = Phrase::new(visit.actor.role.as_str())
            )
            .into(),
            reader: visit.reader,
            here: visit.here.clone(),
        }
    }

    /// May they do this? Only what they may do is offered; whether it is done, `ops` decides.
    pub(super) fn may(&self, deed: &str) -> bool {
        let deed = Deed::ALL.iter().find(|known| known.as_str() == deed);
        deed.is_some_and(|deed| self.role >= deed.needs())
    }
}

/// Where a page leads to get to the console's own address: `./`, `../` …
pub(super) fn root_of(path: &str) -> String {
    let below = path.strip_prefix("/console/").unwrap_or_default();
    match below.matches('/').count() {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

/// Text as a page.
pub(super) fn html(body: String) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html)], body).into_response()
}

/// Renders a page.
pub(super) fn render(reader: Reader, page: &impl Template) -> Result<Response, Fault> {
    Ok(html(told(reader, page)?))
}

/// A page as this reader reads it.
pub(super) fn told(reader: Reader, page: &impl Template) -> askama::Result<String> {
    let reader: &dyn Any = &reader;
    page.render_with_values(&(READER, reader))
}

/// Hour to second.
fn clock(at: DateTime<Utc>) -> Part {
    Part::Time {
        at,
        pattern: mark!("%H:%M:%S UTC"),
    }
}

/// Sends the browser to another address, by GET.
pub(super) fn see_other(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// The page of a fault.
#[derive(Debug, Template)]
#[template(path = "fault.html")]
pub(super) struct Faulty<'a> {
    pub(super) root: String,
    pub(super) theme: Theme,
    pub(super) status: u16,
    pub(super) reader: Reader,
    pub(super) title: &'a str,
    pub(super) detail: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_as_far_up_as_the_page_is_deep() {
        let cases = [
            ("/console/", "./"),
            ("/console/jobs", "./"),
            ("/console/jobs/1", "../"),
            ("/console/jobs/1/retry", "../../"),
        ];
        for (path, expected) in cases {
            assert_eq!(root_of(path), expected, "{path}");
        }
    }
}
