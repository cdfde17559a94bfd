//! Queries of lists, and pages of small lists.

use axum::extract::{FromRequestParts, RawQuery};
use chrono::{DateTime, Utc};
use http::request::Parts;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Refusal;
use crate::clock::Micros;
use crate::cursor::{self, ListTag, Position};

const DEFAULT_PAGE_SIZE: usize = 30;
const MAX_PAGE_SIZE: usize = 100;

/// The query of a request, in the order in which it came.
#[derive(Debug)]
pub(super) struct ListQuery(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Ok(RawQuery(query)) = RawQuery::from_request_parts(parts, state).await;
        let query = query.unwrap_or_default();
        Ok(Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

impl ListQuery {
    /// The first value of that name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Micros>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        // A plus that was not percent-encoded arrives as a space.
        DateTime::parse_from_rfc3339(&text.replace(' ', "+"))
            .map(|time| Some(time.with_timezone(&Utc).timestamp_micros()))
            .map_err(|_| Refusal::field(name, "Enter a valid date/time."))
    }

    /// 1 to 100; what is no number or too small means 30, what is larger means 100.
    pub(super) fn page_size(&self) -> usize {
        self.get("page_size")
            .and_then(|text| text.parse().ok())
            .filter(|size| *size > 0)
            .map_or(DEFAULT_PAGE_SIZE, |size: usize| size.min(MAX_PAGE_SIZE))
    }

    /// What a cursor of this request is bound to: the list and all filters.
    pub(super) fn tag(&self, list: &[&str]) -> ListTag {
        let mut filters: Vec<String> = self
            .0
            .iter()
            .filter(|(name, _)| name != "cursor" && name != "page_size")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        filters.sort_unstable();
        ListTag::new(
            list.iter()
                .copied()
                .chain(filters.iter().map(String::as_str)),
        )
    }

    pub(super) fn start(&self, tag: ListTag) -> Result<Option<Position>, Refusal> {
        let Some(text) = self.get("cursor") else {
            return Ok(None);
        };
        match cursor::decode(tag, text) {
            Some(position) => Ok(Some(position)),
            None => Err(Refusal::bad_request("Invalid cursor.")),
        }
    }
}

/// One page of a list short enough to be built whole.
pub(super) fn page_of(
    list: &[&str],
    items: Vec<Value>,
    query: &ListQuery,
) -> Result<axum::Json<Value>, Refusal> {
    let tag = query.tag(list);
    let start = query
        .start(tag)?
        .map_or(0, |position| position.number as usize);
    let size = query.page_size();
    let total = items.len();
    let results: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let end = start + results.len();
    let next = (end < total).then(|| {
        let number = u32::try_from(end).unwrap_or(u32::MAX);
        cursor::encode(
            tag,
            Position {
                created_at: 0,
                number,
            },
        )
    });
    Ok(axum::Json(
        json!({ "next": next, "previous": null, "results": results }),
    ))
}
