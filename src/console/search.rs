//! Any id leads to its page.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use phrases::say;

use super::{
    fault::Fault,
    guard::{Form, Visit},
    jobs::encoded,
    page::{self, Frame},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::search::Found;

#[derive(Debug, Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    sentence: Said,
}

pub(super) async fn find(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let text = query.text("q").unwrap_or_default();
    if let Some(found) = visit.ops(&app).search(text).await? {
        let page = page_of(&found);
        return Ok(page::see_other(&format!("{}{page}", visit.root)));
    }
    let sentence = if text.is_empty() {
        say!("Nothing was asked for.")
    } else {
        say!(
            "Nothing here has the id “{text}”, or it is kept no longer.",
            text
        )
    };
    page::render(
        visit.reader,
        &SearchPage {
            frame: Frame::of(&visit, "", say!("Search")),
            sentence: sentence.into(),
        },
    )
}

fn page_of(found: &Found) -> String {
    match found {
        Found::Job(id) => format!("jobs/{id}"),
        Found::Account(id) => format!("accounts/{id}"),
        Found::Webhook(id) => format!("webhooks/{id}"),
        Found::Bulk(id) => format!("bulk/{id}"),
        Found::Worker(id) => format!("jobs?worker={id}"),
        Found::Organization(id) => format!("accounts?organization={}", encoded(id)),
    }
}
