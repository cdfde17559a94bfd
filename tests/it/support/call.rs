//! A request to the API.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
};
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::app::API_KEY;

/// A request in the making; it has the bootstrap key unless told otherwise.
#[derive(Debug)]
pub(crate) struct Call(Request);

impl Call {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json")
            .body(Body::empty());
        Self(request.unwrap())
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    pub(crate) fn text(self, body: &str) -> Self {
        self.bytes(body.as_bytes())
    }

    pub(crate) fn bytes(mut self, body: &[u8]) -> Self {
        *self.0.body_mut() = Body::from(body.to_vec());
        self
    }

    pub(crate) fn body(mut self, body: Body) -> Self {
        *self.0.body_mut() = body;
        self
    }

    /// Sets one of the headers that every call has, adds any other; `value` may be what no client would send.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        if ["authorization", "content-type", "prefer"].contains(&name.as_str()) {
            self.0.headers_mut().insert(name, value);
        } else {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    /// From this address, as the connection shows it.
    pub(crate) fn from(mut self, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().unwrap(), 40_000);
        self.0.extensions_mut().insert(ConnectInfo(peer));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.headers_mut().remove(name);
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn into_request(self) -> Request {
        self.0
    }
}
