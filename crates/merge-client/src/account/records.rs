use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Account;
use crate::catalogue::Model;
use crate::{Error, decode};

/// Deepest nesting of a record that is accepted, as in serde_json itself: what stores it must be able to read it.
const MAX_DEPTH: usize = 128;

/// Which records to list. All but the cursor must stay the same along one walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only records modified after this, on Merge's clock; left out for models that take no such filter.
    pub modified_after: Option<DateTime<Utc>>,
    /// Only records modified before this; left out likewise.
    pub modified_before: Option<DateTime<Utc>>,
    /// Whether to include records that were deleted at the source. Without it deletions are never seen.
    pub include_deleted_data: bool,
    /// Where to go on: [`Page::next`] of the page before.
    pub cursor: Option<String>,
    /// Records a page, 1 to 100; values outside are moved to the nearer end.
    pub page_size: u16,
}

/// One page of records.
#[derive(Debug)]
pub struct Page {
    /// The cursor of the next page; `None` at the end. An empty page with a cursor is not the end.
    pub next: Option<String>,
    /// The records, in Merge's order: by creation at Merge.
    pub records: Vec<Record>,
}

/// One record, read no further than its identity. `Debug` leaves out the data.
#[derive(Clone)]
pub struct Record {
    /// Merge's id, stable; `None` for the models that have none.
    pub id: Option<String>,
    /// The third party's id.
    pub remote_id: Option<String>,
    /// When Merge first stored it.
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed at Merge, not at the third party.
    pub modified_at: Option<DateTime<Utc>>,
    /// Whether it was deleted at the source.
    pub is_deleted: bool,
    /// The whole record, a JSON object nested at most 128 deep, as received.
    pub data: Box<RawValue>,
    name: Option<String>,
}

impl Record {
    /// What tells this record from the others of its model: `id`, else `remote_id`, else `name` (`ats.Tag` has no id).
    pub fn key(&self) -> Option<String> {
        self.id
            .clone()
            .or_else(|| self.remote_id.clone())
            .or_else(|| self.name.clone())
    }

    /// Reads the identity of a record, as a list or a webhook carries it.
    ///
    /// Tolerant: an identity field of an unexpected type counts as missing.
    ///
    /// # Errors
    /// serde_json's own when `data` is no object. Its text may quote the data.
    pub fn parse(data: Box<RawValue>) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Identity<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            remote_id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            name: Option<&'a RawValue>,
            #[serde(borrow, default)]
            created_at: Option<&'a RawValue>,
            #[serde(borrow, default)]
            modified_at: Option<&'a RawValue>,
            #[serde(borrow, default)]
            remote_was_deleted: Option<&'a RawValue>,
        }

        // An array would do for the derived reader.
        if !data.get().starts_with('{') {
            return Err(serde::de::Error::custom("invalid type, expected an object"));
        }
        let identity: Identity<'_> = serde_json::from_str(data.get())?;
        Ok(Self {
            id: identity.id.and_then(text),
            remote_id: identity.remote_id.and_then(text),
            name: identity.name.and_then(text),
            created_at: identity.created_at.and_then(time),
            modified_at: identity.modified_at.and_then(time),
            is_deleted: identity
                .remote_was_deleted
                .is_some_and(|raw| raw.get() == "true"),
            data,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("modified_at", &self.modified_at)
            .field("is_deleted", &self.is_deleted)
            .finish_non_exhaustive()
    }
}

impl Account<'_> {
    /// Reads one page of a model's list, `GET /{category}/v1/{path}`.
    ///
    /// Filters that the model does not take are left out: such a list is always whole.
    ///
    /// # Errors
    /// [`Error::Rejected`] (400) or [`Error::NotFound`] with a cursor: the cursor has expired, begin the walk again.
    /// [`Error::Decode`] names the record that is none, as `results[3]`.
    pub async fn list(&self, model: &Model, query: &ListQuery) -> Result<Page, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            next: Option<String>,
            results: Vec<Box<RawValue>>,
        }

        let mut request = self.request(Method::GET, model.path);
        for (name, value) in parameters(model, query) {
            request = request.query(name, &value);
        }
        let answer = request.send().await?;
        let page: Answer = answer.json()?;
        let mut records = Vec::with_capacity(page.results.len());
        for (index, data) in page.results.into_iter().enumerate() {
            records.push(read(&answer.endpoint, index, data)?);
        }
        Ok(Page {
            next: decode::cursor(&answer.endpoint, page.next)?,
            records,
        })
    }
}

fn parameters(model: &Model, query: &ListQuery) -> Vec<(&'static str, String)> {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut parameters = Vec::new();
    if model.has_page_cursor {
        parameters.push(("page_size", query.page_size.clamp(1, 100).to_string()));
    }
    if model.has_deleted_filter && query.include_deleted_data {
        parameters.push(("include_deleted_data", "true".to_owned()));
    }
    if model.has_modified_filter {
        parameters.extend(
            query
                .modified_after
                .map(|after| ("modified_after", time(after))),
        );
        parameters.extend(
            query
                .modified_before
                .map(|before| ("modified_before", time(before))),
        );
    }
    parameters.extend(query.cursor.clone().map(|cursor| ("cursor", cursor)));
    parameters
}

fn read(endpoint: &str, index: usize, data: Box<RawValue>) -> Result<Record, Error> {
    let path = format!("results[{index}]");
    if depth(data.get()) > MAX_DEPTH {
        let reason = format!("nested deeper than {MAX_DEPTH}");
        return Err(Error::Decode {
            endpoint: endpoint.to_owned(),
            path,
            reason,
        });
    }
    Record::parse(data).map_err(|error| decode::fault(endpoint, &path, &error))
}

/// How deep a valid JSON text is nested. Skipping a value, as for raw data, has no limit of its own.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut is_string = false;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if is_string => {
                bytes.next();
            }
            b'"' => is_string = !is_string,
            b'{' | b'[' if !is_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A text or a number, as text; nothing else, and nothing empty.
fn text(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()) {
        Ok(Value::String(text)) if !text.is_empty() => Some(text),
        Ok(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn time(raw: &RawValue) -> Option<DateTime<Utc>> {
    let text: String = serde_json::from_str(raw.get()).ok()?;
    decode::parse_time(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn reads_the_identity_and_keeps_the_text() {
        let json = r#"{"id": "b7d1", "remote_id": 2210, "modified_at": "2026-02-04T03:15:59.871233Z",
            "created_at": null, "remote_was_deleted": true, "name": {"first": "Zoë"}, "n": 1.10}"#;

        let record = record(json).unwrap();

        assert_eq!(record.key().as_deref(), Some("b7d1"));
        assert_eq!(record.remote_id.as_deref(), Some("2210"));
        assert_eq!(
            record.modified_at.unwrap().timestamp_subsec_micros(),
            871_233
        );
        assert!(record.is_deleted && record.created_at.is_none());
        assert_eq!(record.data.get(), json);
    }

    #[test]
    fn the_key_falls_back_to_remote_id_and_name() {
        let key = |json| record(json).unwrap().key();

        assert_eq!(
            key(r#"{"remote_id": "r", "name": "n"}"#).as_deref(),
            Some("r")
        );
        assert_eq!(
            key(r#"{"remote_id": null, "name": "n"}"#).as_deref(),
            Some("n")
        );
        assert_eq!(key(r#"{"id": "", "remote_id": [1]}"#), None);
        assert!(record("[]").is_err() && record("null").is_err());
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(r#"{"a": [1, {"b": "[[[{\"{"}], "c": {}}"#), 3);
        assert_eq!(depth(r#""\\""#), 0);
    }

    #[test]
    fn sends_only_what_the_model_takes() {
        let time = "2026-02-04T03:16:41.730912Z".parse().unwrap();
        let query = ListQuery {
            modified_after: Some(time),
            modified_before: Some(time),
            include_deleted_data: true,
            cursor: Some("c+/=".to_owned()),
            page_size: 500,
        };
        let sent = |model_id| parameters(catalogue::find(model_id).unwrap(), &query);

        assert_eq!(
            sent("hris.Employee"),
            [
                ("page_size", "100".to_owned()),
                ("include_deleted_data", "true".to_owned()),
                ("modified_after", "2026-02-04T03:16:41.730912Z".to_owned()),
                ("modified_before", "2026-02-04T03:16:41.730912Z".to_owned()),
                ("cursor", "c+/=".to_owned()),
            ]
        );
        assert!(
            sent("accounting.PaymentTerm")
                .iter()
                .all(|(name, _)| !name.starts_with("mod"))
        );
    }

    fn record(json: &str) -> Result<Record, serde_json::Error> {
        Record::parse(RawValue::from_string(json.to_owned()).unwrap())
    }
}
