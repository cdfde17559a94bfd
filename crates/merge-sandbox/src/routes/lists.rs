//! The lists of records, and single records.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use merge_client::catalogue::{Category, Model, models};

use super::Refusal;
use super::auth::Linked;
use super::pages::ListQuery;
use crate::account::{Account, AccountState};
use crate::cursor::{self, ListTag, Position};
use crate::generator::Author;
use crate::records::{Filter, Record};
use crate::world::World;

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
    Path(path): Path<HashMap<String, String>>,
    OriginalUri(uri): OriginalUri,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let model = model_at(account.category, &path)?;
    let request = ListRequest::read(&world, &account, model, &query)?;
    let page = world.visit(&account, |state, _| request.page(&account, state))?;
    let next = page.next.map(|next| {
        if world.options.answers.next_is_url {
            request.address_of(&world, &uri, &next)
        } else {
            next
        }
    });

    let mut body = Vec::with_capacity(page.results.len() + 256);
    body.extend_from_slice(b"{\"next\":");
    body.extend_from_slice(serde_json::json!(next).to_string().as_bytes());
    body.extend_from_slice(b",\"previous\":null,\"results\":[");
    body.extend_from_slice(&page.results);
    body.extend_from_slice(b"]}");
    Ok(json_answer(body))
}

pub(super) async fn one(
    State(world): State<Arc<World>>,
    Linked(account): Linked,
    Path(path): Path<HashMap<String, String>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let model = model_at(account.category, &path)?;
    let id = path.get("id").map(String::as_str).unwrap_or_default();
    let with_remote_data = query.flag("include_remote_data");
    let found = world.visit(&account, |state, _| {
        let model = state.model(model).filter(|model| model.model.has_id)?;
        let author = account.author(model);
        let record = model
            .records
            .iter()
            .find(|record| author.key(record) == id)?;
        let mut json = Vec::with_capacity(1024);
        author.write(record, with_remote_data, &mut json);
        Some(json)
    });
    found.map(json_answer).ok_or_else(Refusal::not_found)
}

fn model_at(category: Category, path: &HashMap<String, String>) -> Result<&'static Model, Refusal> {
    let path = path.get("path").map(String::as_str).unwrap_or_default();
    models(category)
        .iter()
        .find(|model| model.path == path)
        .ok_or_else(Refusal::not_found)
}

fn json_answer(body: Vec<u8>) -> Response {
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// A checked request for a page of records.
struct ListRequest<'a> {
    model: &'static Model,
    filter: Filter,
    remote_id: Option<&'a str>,
    with_remote_data: bool,
    start: Option<Position>,
    page_size: usize,
    tag: ListTag,
    has_empty_last_page: bool,
    query: &'a ListQuery,
}

struct Page {
    next: Option<String>,
    /// The records' JSON, separated by commas.
    results: Vec<u8>,
}

impl<'a> ListRequest<'a> {
    fn read(
        world: &World,
        account: &Account,
        model: &'static Model,
        query: &'a ListQuery,
    ) -> Result<Self, Refusal> {
        let tag = query.tag(&[&account.id.to_string(), model.model_id]);
        let mut filter = Filter {
            has_inclusive_limits: world.options.answers.has_inclusive_limits,
            includes_deleted: query.flag("include_deleted_data"),
            ..Filter::default()
        };
        // The lists without these filters have none of the others either; Merge ignores what it does not know.
        if model.has_modified_filter {
            filter.modified_after = query.time("modified_after")?;
            filter.modified_before = query.time("modified_before")?;
            filter.created_after = query.time("created_after")?;
            filter.created_before = query.time("created_before")?;
        }
        Ok(Self {
            model,
            filter,
            remote_id: query.get("remote_id").filter(|_| model.has_modified_filter),
            with_remote_data: query.flag("include_remote_data"),
            start: query.start(tag)?,
            page_size: query.page_size(),
            tag,
            has_empty_last_page: world.options.answers.has_empty_last_page,
            query,
        })
    }

    fn page(&self, account: &Account, state: &AccountState) -> Result<Page, Refusal> {
        let model = state.model(self.model).ok_or_else(Refusal::not_found)?;
        let author = account.author(model);
        let mut found = model
            .records
            .after(self.start)
            .iter()
            .filter(|record| self.admits(&author, record));

        let mut results = Vec::with_capacity(self.page_size * 1024);
        let mut last = None;
        let mut taken = 0;
        for record in found.by_ref().take(self.page_size) {
            if taken > 0 {
                results.push(b',');
            }
            author.write(record, self.with_remote_data, &mut results);
            last = Some(record.position());
            taken += 1;
        }
        let has_more =
            found.next().is_some() || (self.has_empty_last_page && taken == self.page_size);
        let next = last
            .filter(|_| has_more)
            .map(|last| cursor::encode(self.tag, last));
        Ok(Page { next, results })
    }

    fn admits(&self, author: &Author<'_>, record: &Record) -> bool {
        self.filter.admits(record)
            && self
                .remote_id
                .is_none_or(|wanted| author.remote_id(record).as_deref() == Some(wanted))
    }

    /// The whole address of the next page, as some samples of Merge show it.
    fn address_of(&self, world: &World, uri: &http::Uri, next: &str) -> String {
        let mut address = world.base_url.clone();
        address.set_path(uri.path());
        address
            .query_pairs_mut()
            .extend_pairs(self.query.pairs().filter(|(name, _)| *name != "cursor"))
            .append_pair("cursor", next);
        address.into()
    }
}
