//! The examples of webhooks, with the signatures that are published for them.

use std::{fs, path::Path};

use serde::Deserialize;

/// One webhook.
pub(crate) struct Example {
    pub(crate) file: String,
    pub(crate) body: Vec<u8>,
    /// The key of the published signatures.
    pub(crate) key: String,
    /// Signatures that fit.
    pub(crate) accepted: Vec<String>,
    /// Names and values of signatures that do not.
    pub(crate) rejected: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Index {
    key: String,
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    signature: String,
    signature_unpadded: String,
    reject: serde_json::Map<String, serde_json::Value>,
    standard_base64: String,
    urlsafe_differs_from_standard: bool,
}

/// Every example.
pub(crate) fn webhook_examples() -> Vec<Example> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/merge-client/fixtures/webhooks");
    let index = fs::read(folder.join("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    let example = |entry: Entry| {
        let mut rejected: Vec<_> = entry
            .reject
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap().to_owned()))
            .collect();
        if entry.urlsafe_differs_from_standard {
            rejected.push(("standard base64".to_owned(), entry.standard_base64));
        }
        Example {
            body: fs::read(folder.join(&entry.file)).unwrap(),
            file: entry.file,
            key: index.key.clone(),
            accepted: vec![entry.signature, entry.signature_unpadded],
            rejected,
        }
    };
    let examples: Vec<_> = index.files.into_iter().map(example).collect();
    assert!(examples.len() >= 30);
    examples
}
