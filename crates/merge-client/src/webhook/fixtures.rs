//! The examples in `fixtures/webhooks`, for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Index {
    pub(super) key: String,
    pub(super) files: Vec<Example>,
}

#[derive(Deserialize)]
pub(super) struct Example {
    pub(super) file: String,
    pub(super) event: Option<String>,
    pub(super) signature: String,
    pub(super) signature_unpadded: String,
    pub(super) reject: BTreeMap<String, String>,
    pub(super) standard_base64: String,
    pub(super) urlsafe_differs_from_standard: bool,
}

impl Example {
    pub(super) fn body(&self) -> Vec<u8> {
        body(&self.file)
    }
}

pub(super) fn index() -> Index {
    serde_json::from_slice(&body("index.json")).unwrap()
}

pub(super) fn body(file: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/webhooks");
    std::fs::read(folder.join(file)).unwrap()
}
