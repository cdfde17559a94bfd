//! Telling others of a request, however it ended.

use std::time::Instant;

use http::StatusCode;
use http::header::HeaderMap;

use crate::{Exchange, Observer};

/// Where servers, and what stands before them, name a request.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "cf-ray"];
/// Longer names are cut.
const MAX_ID_CHARS: usize = 100;

/// A request under way. Dropped, it tells the observer: a request that is given up half-way is told of, too.
pub(super) struct Watch<'a> {
    observer: Option<Observer>,
    method: &'a str,
    path: &'a str,
    began: Instant,
    status: Option<StatusCode>,
    request_id: Option<String>,
}

impl<'a> Watch<'a> {
    /// `endpoint` is method and path.
    pub(super) fn begin(observer: Option<Observer>, endpoint: &'a str) -> Self {
        let (method, path) = endpoint.split_once(' ').unwrap_or(("", endpoint));
        Self {
            observer,
            method,
            path,
            began: Instant::now(),
            status: None,
            request_id: None,
        }
    }

    /// The answer has begun. A name that quotes one of these is none.
    pub(super) fn answered<'s>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        mut secrets: impl Iterator<Item = &'s str>,
    ) {
        self.status = Some(status);
        let mut ids = REQUEST_IDS.iter().filter_map(|name| headers.get(*name));
        let id = ids.find_map(|id| id.to_str().ok());
        let id = id.filter(|id| !secrets.any(|secret| id.contains(secret)));
        self.request_id = id.map(|id| super::detail::cut(id, MAX_ID_CHARS));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(observer) = self.observer else {
            return;
        };
        observer(&Exchange {
            method: self.method,
            path: self.path,
            status: self.status.map(|status| status.as_u16()),
            took: self.began.elapsed(),
            request_id: self.request_id.as_deref(),
        });
    }
}
