//! An answer of the API, read whole.

use axum::{body::to_bytes, response::Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// Status, headers and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .expect("an answer in memory is whole");
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {:?}", self.body))
    }

    /// The body's field of that name, as text.
    pub(crate) fn text(&self, field: &str) -> String {
        let json = self.json();
        let value = json.get(field).and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("no text `{field}` in {json}"))
            .to_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("our headers are ASCII"))
    }

    /// Checks the status, and that an error has the one shape that errors have; gives the body.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        let json = self.json();
        if status >= 400 {
            self.expect_problem(&json);
        }
        json
    }

    #[track_caller]
    fn expect_problem(&self, json: &Value) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(json["status"], self.status.as_u16());
        for member in ["type", "title", "detail", "request_id"] {
            assert!(
                json[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {json}"
            );
        }
        assert!(
            json["type"]
                .as_str()
                .unwrap()
                .starts_with("urn:syncline:problem:"),
            "{json}"
        );
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"));
        let text = json.to_string().to_lowercase();
        assert!(!text.contains("merge"), "names the provider: {text}");
    }

    /// The fields that a problem names, by pointer or parameter.
    pub(crate) fn faults(&self) -> Vec<String> {
        let json = self.json();
        let faults = json["errors"].as_array().cloned().unwrap_or_default();
        let name = |fault: &Value| {
            let name = fault["pointer"].as_str().or(fault["parameter"].as_str());
            name.unwrap_or_default().to_owned()
        };
        faults.iter().map(name).collect()
    }
}
