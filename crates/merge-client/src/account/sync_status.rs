use std::collections::HashSet;

use chrono::{DateTime, Utc};
use http::Method;
use serde::{Deserialize, Deserializer};

use super::Account;
use crate::{Error, decode};

/// Largest page that Merge gives.
const PAGE_SIZE: &str = "100";

/// Far more pages than a category has models.
const MAX_PAGES: usize = 50;

/// How far Merge's own sync of one model is.
///
/// Times are Merge's. Older field names (`model`, `last_sync_started`) and the word `SUCCESSFUL` are read as their newer
/// forms. When `last_sync_result` is absent, not null, and `status` is that of a finished sync, it is taken from there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct SyncStatus {
    /// The model's id, in Merge's spelling of the day: see [`crate::catalogue::find`]. Empty when the answer has none.
    pub model_id: String,
    /// The model's name, such as `Employee`.
    pub model_name: Option<String>,
    /// `SYNCING`, `DONE`, `PARTIALLY_SYNCED`, `FAILED`, `DISABLED`, `PAUSED`, or a word yet to come; empty when missing.
    pub status: String,
    /// The result of the last finished sync, in the same words.
    pub last_sync_result: Option<String>,
    /// When the latest sync began.
    pub last_sync_start: Option<DateTime<Utc>>,
    /// When the last finished sync ended; may belong to an earlier run than `last_sync_start`.
    pub last_sync_finished: Option<DateTime<Utc>>,
    /// When the next one is planned.
    pub next_sync_start: Option<DateTime<Utc>>,
    /// Whether the first sync is still under way.
    pub is_initial_sync: Option<bool>,
    /// Up to when data is complete.
    pub data_fresh_as_of: Option<DateTime<Utc>>,
    /// Why a running sync stands still, such as `RATE_LIMITED`.
    pub sync_status_reason: Option<String>,
}

impl Account<'_> {
    /// Asks `GET /{category}/v1/sync-status`, all pages. Entries without any model id are left out.
    ///
    /// # Errors
    /// [`Error::EndlessPages`] when the cursors go in a circle; the others as everywhere.
    pub async fn sync_status(&self) -> Result<Vec<SyncStatus>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            next: Option<String>,
            results: Vec<SyncStatus>,
        }

        let mut statuses = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut request = self
                .request(Method::GET, "sync-status")
                .query("page_size", PAGE_SIZE);
            if let Some(cursor) = &cursor {
                request = request.query("cursor", cursor);
            }
            let answer = request.send().await?;
            let page: Answer = answer.json()?;
            statuses.extend(page.results);
            match decode::cursor(&answer.endpoint, page.next)? {
                None => return Ok(identified(statuses)),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => break,
            }
        }
        Err(Error::EndlessPages {
            endpoint: format!("GET {}/v1/sync-status", self.category),
        })
    }

    /// Asks Merge to sync all models now, `POST /{category}/v1/sync-status/resync`. Costs a sync credit each time.
    ///
    /// # Errors
    /// [`Error::Forbidden`] outside the plans that include it, and for test accounts.
    pub async fn resync(&self) -> Result<Vec<SyncStatus>, Error> {
        let answer = self
            .request(Method::POST, "sync-status/resync")
            .send()
            .await?;
        Ok(identified(answer.json()?))
    }
}

fn identified(mut statuses: Vec<SyncStatus>) -> Vec<SyncStatus> {
    let count = statuses.len();
    statuses.retain(|status| !status.model_id.is_empty());
    if statuses.len() < count {
        tracing::warn!(
            left_out = count - statuses.len(),
            "sync status without a model id"
        );
    }
    statuses
}

/// The same under every name it has had.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    model_id: Option<String>,
    model: Option<String>,
    model_name: Option<String>,
    status: Option<String>,
    last_sync_result: Told,
    #[serde(deserialize_with = "decode::time")]
    last_sync_start: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "decode::time")]
    last_sync_started: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "decode::time")]
    last_sync_finished: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "decode::time")]
    next_sync_start: Option<DateTime<Utc>>,
    is_initial_sync: Option<bool>,
    #[serde(deserialize_with = "decode::time")]
    data_fresh_as_of: Option<DateTime<Utc>>,
    sync_status_reason: Option<String>,
}

impl From<Raw> for SyncStatus {
    fn from(raw: Raw) -> Self {
        let status = raw.status.map(canonical).unwrap_or_default();
        let is_finished = matches!(status.as_str(), "DONE" | "PARTIALLY_SYNCED" | "FAILED");
        let last_sync_result = match raw.last_sync_result {
            Told::As(result) => result.map(canonical),
            Told::Not => is_finished.then(|| status.clone()),
        };
        Self {
            model_id: raw.model_id.or(raw.model).unwrap_or_default(),
            model_name: raw.model_name,
            last_sync_result,
            status,
            last_sync_start: raw.last_sync_start.or(raw.last_sync_started),
            last_sync_finished: raw.last_sync_finished,
            next_sync_start: raw.next_sync_start,
            is_initial_sync: raw.is_initial_sync,
            data_fresh_as_of: raw.data_fresh_as_of,
            sync_status_reason: raw.sync_status_reason,
        }
    }
}

/// The current word for a status or result that older texts call otherwise.
pub(crate) fn canonical(word: String) -> String {
    if word == "SUCCESSFUL" {
        "DONE".to_owned()
    } else {
        word
    }
}

/// A field of which absence and null mean different things.
#[derive(Default)]
enum Told {
    #[default]
    Not,
    As(Option<String>),
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::As)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_current_form() {
        let status: SyncStatus = serde_json::from_str(
            r#"{"model_name": "Employee", "model_id": "hris.Employee", "status": "SYNCING",
                "last_sync_result": "PARTIALLY_SYNCED", "last_sync_start": "2026-02-04T03:10:02.118345Z",
                "last_sync_finished": "2026-02-03T03:16:41Z", "next_sync_start": null,
                "is_initial_sync": true, "data_fresh_as_of": null, "sync_status_reason": "RATE_LIMITED",
                "selective_sync_configurations_usage": "IN_LAST_SYNC"}"#,
        )
        .unwrap();

        assert_eq!(status.model_id, "hris.Employee");
        assert_eq!(status.status, "SYNCING");
        assert_eq!(status.last_sync_result.as_deref(), Some("PARTIALLY_SYNCED"));
        assert_eq!(
            status.last_sync_start.unwrap().timestamp_subsec_micros(),
            118_345
        );
        assert_eq!(status.next_sync_start, None);
        assert_eq!(status.is_initial_sync, Some(true));
    }

    #[test]
    fn reads_older_names_and_words() {
        let status: SyncStatus = serde_json::from_str(
            r#"{"model": "hris.employees", "status": "SUCCESSFUL", "last_sync_started": "2026-02-04T03:10:02Z"}"#,
        )
        .unwrap();

        assert_eq!(status.model_id, "hris.employees");
        assert_eq!(status.status, "DONE");
        assert_eq!(status.last_sync_result.as_deref(), Some("DONE"));
        assert!(status.last_sync_start.is_some());
    }

    #[test]
    fn an_absent_result_is_taken_from_a_finished_status_but_null_stays_null() {
        for (json, result) in [
            (r#"{"status": "FAILED"}"#, Some("FAILED")),
            (r#"{"status": "SYNCING"}"#, None),
            (r#"{"status": "DONE", "last_sync_result": null}"#, None),
            (
                r#"{"status": "DONE", "last_sync_result": "FAILED"}"#,
                Some("FAILED"),
            ),
            (
                r#"{"status": "A_NEW_WORD", "last_sync_result": "ANOTHER"}"#,
                Some("ANOTHER"),
            ),
        ] {
            let status: SyncStatus = serde_json::from_str(json).unwrap();
            assert_eq!(status.last_sync_result.as_deref(), result, "{json}");
        }
    }
}
