//! The truth: what somebody who has read everything should have stored.

use std::fmt::Write as _;

use merge_client::catalogue::{self, Model};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::account::{Account, AccountState, ModelState};
use crate::clock::{to_text, to_time};
use crate::cursor::{self, ListTag};
use crate::handle::ControlError;
use crate::records::Record;
use crate::views::{ModelTruth, TruthPage, TruthRecord};

/// The digest of a set of records: SHA-256, in hex, of one line for each record, sorted by key:
/// `key TAB modified_at TAB is_deleted LF`, the time as `2026-02-04T03:16:41.730912Z`, the mark as `true` or `false`.
///
/// Whoever stored records can compute the same from a table and compare.
pub fn digest<'a>(records: impl IntoIterator<Item = &'a TruthRecord>) -> String {
    let lines = records
        .into_iter()
        .map(|record| {
            line(
                &record.key,
                record.modified_at.timestamp_micros(),
                record.is_deleted,
            )
        })
        .collect();
    digest_of(lines)
}

fn line(key: &str, modified_at: i64, is_deleted: bool) -> String {
    format!("{key}\t{}\t{is_deleted}\n", to_text(modified_at))
}

fn digest_of(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for line in &lines {
        hasher.update(line.as_bytes());
    }
    let mut hex = String::with_capacity(64);
    for byte in hasher.finalize() {
        write!(hex, "{byte:02x}").expect("a String takes every character");
    }
    hex
}

impl Account {
    /// The truth of every model that the account has, in short.
    pub(crate) fn truth_summary(&self, state: &AccountState) -> Vec<ModelTruth> {
        state
            .models
            .iter()
            .map(|model| self.model_truth(model))
            .collect()
    }

    fn model_truth(&self, model: &ModelState) -> ModelTruth {
        let author = self.author(model);
        let lines = model
            .records
            .iter()
            .map(|record| line(&author.key(record), record.modified_at, record.is_deleted))
            .collect();
        ModelTruth {
            model_id: model.model.model_id.to_owned(),
            records: model.records.len() as u64,
            deleted: model
                .records
                .iter()
                .filter(|record| record.is_deleted)
                .count() as u64,
            digest: digest_of(lines),
        }
    }

    /// At most `limit` records of a model from `after` on.
    pub(crate) fn truth_page(
        &self,
        state: &AccountState,
        model: &Model,
        after: Option<&str>,
        limit: usize,
        with_data: bool,
    ) -> Result<TruthPage, ControlError> {
        let model = state.model(model).ok_or(ControlError::NoModel)?;
        let tag = ListTag::new(["truth", &self.id.to_string(), model.model.model_id]);
        let start = match after {
            Some(after) => Some(cursor::decode(tag, after).ok_or(ControlError::BadCursor)?),
            None => None,
        };
        let rest = model.records.after(start);
        let page = &rest[..limit.min(rest.len())];
        let next = page
            .last()
            .filter(|_| page.len() < rest.len())
            .map(|last| cursor::encode(tag, last.position()));
        let records = page
            .iter()
            .map(|record| self.truth_record(model, record, with_data))
            .collect();
        Ok(TruthPage { records, next })
    }

    pub(crate) fn truth_record(
        &self,
        model: &ModelState,
        record: &Record,
        with_data: bool,
    ) -> TruthRecord {
        let author = self.author(model);
        let data = with_data.then(|| {
            let mut json = Vec::with_capacity(1024);
            author.write(record, false, &mut json);
            serde_json::from_slice::<Box<RawValue>>(&json).expect("the generator writes JSON")
        });
        TruthRecord {
            key: author.key(record),
            modified_at: to_time(record.modified_at),
            is_deleted: record.is_deleted,
            data,
        }
    }
}

/// The model of that id, in any spelling of the catalogue.
pub(crate) fn model_of(model_id: &str) -> Result<&'static Model, ControlError> {
    catalogue::find(model_id).ok_or(ControlError::NoModel)
}

/// Fields that a test sets, as the record keeps them.
pub(crate) fn fields_of(
    fields: crate::views::Fields,
) -> Option<Box<serde_json::Map<String, Value>>> {
    (!fields.is_empty()).then(|| Box::new(fields.into_iter().collect()))
}
