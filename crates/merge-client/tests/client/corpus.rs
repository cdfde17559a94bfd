//! What must hold whatever somebody sends, over all that fuzzing was begun with or found.

use std::fs;
use std::path::PathBuf;

#[path = "../../../../fuzz/properties.rs"]
mod properties;

/// The files of a folder, seen from the repository.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(files.len() > 10, "{}", folder.display());
    files
}

#[test]
fn every_body_is_an_event_or_none() {
    for folder in [
        "fuzz/corpus/webhook_event",
        "crates/merge-client/fixtures/webhooks",
    ] {
        for body in files(folder) {
            properties::event(&body);
        }
    }
}

#[test]
fn only_the_signature_itself_is_taken() {
    for input in files("fuzz/corpus/webhook_signature") {
        properties::signature(&input);
    }
}
