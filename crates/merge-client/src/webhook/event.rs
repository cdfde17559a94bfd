use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::account::canonical;
use crate::{AccountToken, Record, SyncStatus, decode};

/// A delivery, read leniently: what is missing or of another type than expected counts as not told.
#[derive(Debug, Clone)]
pub struct Event {
    /// The event's name as sent, such as `Employee.synced`; empty for a body that names none.
    pub name: String,
    /// The account it speaks of. Deliveries come for the whole Merge organisation: an unknown account is normal.
    pub account: AccountRef,
    /// What it means to us.
    pub kind: EventKind,
}

/// The body is not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delivery is no JSON object")]
pub struct Unparseable;

/// What a delivery says about its account. Try `id`, then `end_user_origin_id` with `category`, then the token.
#[derive(Debug, Clone, Default)]
pub struct AccountRef {
    /// Merge's id of the linked account.
    pub id: Option<String>,
    /// Our id of the connection; never empty.
    pub end_user_origin_id: Option<String>,
    /// As Merge writes it; may be one we do not know.
    pub category: Option<String>,
    /// The integration's display name.
    pub integration: Option<String>,
    /// The integration's slug.
    pub integration_slug: Option<String>,
    /// `COMPLETE`, `RELINK_NEEDED`, … or a word yet to come.
    pub status: Option<String>,
    /// The account's token, which some events carry.
    pub account_token: Option<AccountToken>,
}

/// What a delivery means to us.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// `LinkedAccount.linked`: the one current event that brings the account token.
    Linked {
        /// The token.
        account_token: Option<AccountToken>,
        /// Whether the account existed before.
        is_relink: bool,
    },
    /// `LinkedAccount.sync_completed` and its retired forms. Without any mark: ask for the sync status.
    SyncCompleted {
        /// Whether it was the first sync.
        is_initial_sync: Option<bool>,
        /// What it says about each model.
        models: Vec<ModelMark>,
    },
    /// `{Model}.synced`.
    ModelSynced {
        /// The model's name in events, such as `CRMAccount`: see [`crate::catalogue::find_event`].
        model_event: String,
        /// How the sync ended.
        status: ModelSyncStatus,
    },
    /// `{Model}.added`, `.changed` or `.removed`: a third party told Merge between two syncs.
    RecordChanged {
        /// The model's name in events, as above.
        model_event: String,
        /// The whole record, marked as deleted if it was removed. `None` when there is none that can be read.
        record: Option<Box<Record>>,
    },
    /// Something about the account itself: `LinkedAccount.deleted`, `Issue.…`. Ask Merge what.
    AccountChanged,
    /// What the dashboard's test button posts.
    TestPing,
    /// Everything else: kept and acknowledged.
    Other,
}

/// One model's entry in `LinkedAccount.sync_completed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelMark {
    /// The model's id, in Merge's spelling of the day.
    pub model_id: String,
    /// When its last finished sync ended; whole seconds here, where the sync status has microseconds.
    pub last_sync_finished: Option<DateTime<Utc>>,
    /// How it ended.
    pub last_sync_result: Option<String>,
}

/// The two forms of `data.sync_status` in `{Model}.synced`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSyncStatus {
    /// The whole status, as the API gives it. Its `model_id` may be empty.
    Object(Box<SyncStatus>),
    /// The status word alone, without times: ask for the sync status. Empty when not told.
    Text(String),
}

impl Event {
    /// Reads a delivery whose signature is good.
    ///
    /// # Errors
    /// [`Unparseable`] when the body is no JSON object; every object is an event.
    pub fn parse(body: &[u8]) -> Result<Self, Unparseable> {
        let root = serde_json::from_slice::<Value>(body)
            .ok()
            .filter(Value::is_object)
            .ok_or(Unparseable)?;
        let name = ["/hook/event", "/event", "/event_type"]
            .into_iter()
            .find_map(|place| text(&root, place))
            .unwrap_or_default();
        let account = account(&root);
        let kind = kind(&name, &root, &account, body);
        Ok(Self {
            name,
            account,
            kind,
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn account(root: &Value) -> AccountRef {
    let field = |name: &str| text(root, &format!("/linked_account/{name}"));
    AccountRef {
        id: field("id"),
        end_user_origin_id: field("end_user_origin_id"),
        category: field("category"),
        integration: field("integration"),
        integration_slug: field("integration_slug"),
        status: field("status"),
        account_token: text(root, "/data/account_token").map(AccountToken::new),
    }
}

fn kind(name: &str, root: &Value, account: &AccountRef, body: &[u8]) -> EventKind {
    let flag = |place: &str| root.pointer(place).and_then(Value::as_bool);
    match name {
        "" if root.get("response").is_some() => EventKind::TestPing,
        "LinkedAccount.linked" => EventKind::Linked {
            account_token: account.account_token.clone(),
            is_relink: flag("/data/is_relink").unwrap_or(false),
        },
        "LinkedAccount.sync_completed"
        | "LinkedAccount.synced_completed"
        | "LinkedAccount.synced"
        | "LinkedAccount.synced_initial"
        | "LinkedAccount.fully_synced_initial" => EventKind::SyncCompleted {
            is_initial_sync: flag("/data/is_initial_sync"),
            models: marks(root),
        },
        _ => match name.rsplit_once('.') {
            Some(("LinkedAccount" | "Issue", _)) => EventKind::AccountChanged,
            Some((model_event, "synced")) => EventKind::ModelSynced {
                model_event: model_event.to_owned(),
                status: model_status(root),
            },
            Some((model_event, change @ ("added" | "changed" | "removed"))) => {
                EventKind::RecordChanged {
                    model_event: model_event.to_owned(),
                    record: record(body, change == "removed").map(Box::new),
                }
            }
            _ => EventKind::Other,
        },
    }
}

/// The record that an event carries, in Merge's own spelling: numbers and times may not pass through our types.
fn record(body: &[u8], is_removed: bool) -> Option<Record> {
    #[derive(Deserialize)]
    struct Body {
        data: Box<RawValue>,
    }

    let body: Body = serde_json::from_slice(body).ok()?;
    let mut record = Record::parse(body.data).ok()?;
    record.is_deleted |= is_removed;
    Some(record)
}

/// The entries of the map from model id to status. A retired form has other keys there, which are no model ids.
fn marks(root: &Value) -> Vec<ModelMark> {
    let Some(map) = root.pointer("/data/sync_status").and_then(Value::as_object) else {
        return Vec::new();
    };
    map.iter()
        .filter(|(_, entry)| entry.is_object())
        .map(|(model_id, entry)| ModelMark {
            model_id: model_id.clone(),
            last_sync_finished: text(entry, "/last_sync_finished")
                .and_then(|time| decode::parse_time(&time)),
            last_sync_result: text(entry, "/last_sync_result").map(canonical),
        })
        .collect()
}

fn model_status(root: &Value) -> ModelSyncStatus {
    let status = root.pointer("/data/sync_status");
    match status.map(SyncStatus::deserialize) {
        Some(Ok(object)) if status.is_some_and(Value::is_object) => {
            ModelSyncStatus::Object(Box::new(object))
        }
        _ => ModelSyncStatus::Text(
            text(root, "/data/sync_status")
                .or_else(|| text(root, "/data/sync_status/status"))
                .map(canonical)
                .unwrap_or_default(),
        ),
    }
}

/// The text at a place; nothing when it is missing, empty or no text.
fn text(root: &Value, place: &str) -> Option<String> {
    root.pointer(place)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::fixtures;

    fn event(file: &str) -> Event {
        Event::parse(&fixtures::body(file)).unwrap()
    }

    #[test]
    fn reads_every_example() {
        let mut unparseable = Vec::new();
        for example in fixtures::index().files {
            match Event::parse(&example.body()) {
                Ok(event) => assert_eq!(event.name, example.event.unwrap_or_default()),
                Err(Unparseable) => unparseable.push(example.file),
            }
        }
        assert_eq!(unparseable, ["malformed_json.json"]);
    }

    #[test]
    fn linked_brings_the_token_and_hides_it() {
        let event = event("linked_account_linked.json");

        let EventKind::Linked {
            account_token: Some(token),
            is_relink: false,
        } = &event.kind
        else {
            panic!("{event:?}");
        };
        assert_eq!(token.expose(), "at_example_not_a_real_token");
        assert_eq!(event.account.category.as_deref(), Some("hris"));
        assert!(!format!("{event:?}").contains("at_example"));
    }

    #[test]
    fn an_empty_origin_id_counts_as_none() {
        let account = event("linked_account_linked_test_account.json").account;

        assert_eq!(account.end_user_origin_id, None);
        assert!(account.id.is_some());
    }

    #[test]
    fn sync_completed_gives_a_mark_for_each_model() {
        let event = event("linked_account_sync_completed_initial.json");

        let EventKind::SyncCompleted {
            is_initial_sync: Some(true),
            mut models,
        } = event.kind
        else {
            panic!("{event:?}");
        };
        models.sort_by(|a, b| a.model_id.cmp(&b.model_id));
        let results: Vec<_> = models
            .iter()
            .map(|mark| {
                (
                    mark.model_id.as_str(),
                    mark.last_sync_result.as_deref().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            results,
            [
                ("hris.BankInfo", "FAILED"),
                ("hris.Company", "DONE"),
                ("hris.Employee", "DONE"),
                ("hris.TimeOff", "PARTIALLY_SYNCED"),
            ]
        );
        assert_eq!(models[0].last_sync_finished, None);
        assert!(models[2].last_sync_finished.is_some());
    }

    #[test]
    fn retired_and_flat_forms_have_no_marks_but_a_token() {
        for file in [
            "legacy_linked_account_synced.json",
            "flat_event_with_token.json",
        ] {
            let event = event(file);
            assert!(event.account.account_token.is_some(), "{file}");
            assert!(
                matches!(&event.kind, EventKind::SyncCompleted { models, .. } if models.is_empty()),
                "{event:?}"
            );
        }
    }

    #[test]
    fn model_synced_comes_as_object_or_text() {
        for (file, model, status) in [
            ("model_synced_object.json", "Employee", "hris.Employee DONE"),
            ("spaced_json.json", "Employee", "hris.Employee DONE"),
            (
                "model_synced_legacy_field_name.json",
                "Employee",
                "hris.employees DONE",
            ),
            (
                "model_synced_prefixed_crm.json",
                "CRMAccount",
                "crm.Account DONE",
            ),
            ("model_synced_string.json", "Employee", "PARTIALLY_SYNCED"),
            ("model_synced_string_failed.json", "Employee", "FAILED"),
        ] {
            let event = event(file);
            let EventKind::ModelSynced {
                model_event,
                status: found,
            } = event.kind
            else {
                panic!("{event:?}");
            };
            let found = match found {
                ModelSyncStatus::Object(status) => format!("{} {}", status.model_id, status.status),
                ModelSyncStatus::Text(text) => text,
            };
            assert_eq!(
                (model_event.as_str(), found.as_str()),
                (model, status),
                "{file}"
            );
        }
    }

    #[test]
    fn record_events_bring_the_record_as_it_is_spelled() {
        for (file, is_deleted) in [
            ("record_added.json", false),
            ("record_changed.json", false),
            ("record_removed.json", true),
        ] {
            let EventKind::RecordChanged {
                model_event,
                record: Some(record),
            } = event(file).kind
            else {
                panic!("{file}");
            };
            assert_eq!(model_event, "Employee", "{file}");
            assert_eq!(record.is_deleted, is_deleted, "{file}");
            assert!(record.modified_at.is_some(), "{file}");
            let body = String::from_utf8(fixtures::body(file)).unwrap();
            assert!(body.contains(record.data.get()), "{file}");
        }
        let removed = br#"{"event": "Employee.removed", "data": {"id": "1"}}"#;
        let EventKind::RecordChanged {
            record: Some(record),
            ..
        } = Event::parse(removed).unwrap().kind
        else {
            panic!();
        };
        assert!(record.is_deleted);
        let none = br#"{"event": "Employee.changed", "data": [1]}"#;
        assert!(matches!(
            Event::parse(none).unwrap().kind,
            EventKind::RecordChanged { record: None, .. }
        ));
    }

    #[test]
    fn what_concerns_the_account_itself_is_told_apart() {
        for file in [
            "linked_account_deleted.json",
            "issue_new.json",
            "issue_reopened.json",
            "issue_resolved.json",
            "status_changed_unfired.json",
        ] {
            assert!(
                matches!(event(file).kind, EventKind::AccountChanged),
                "{file}"
            );
        }
    }

    #[test]
    fn odd_bodies_are_no_faults() {
        for (body, name) in [
            (
                r#"{"hook": {"event": 5}, "event": "Employee.synced", "data": [1]}"#,
                "Employee.synced",
            ),
            (r#"{"hook": null, "linked_account": "x"}"#, ""),
            (
                r#"{"event": "Employee.synced", "data": {"sync_status": {"last_sync_finished": 7}}}"#,
                "Employee.synced",
            ),
            (
                r#"{"event": "LinkedAccount.sync_completed", "data": {"sync_status": "DONE"}}"#,
                "LinkedAccount.sync_completed",
            ),
        ] {
            assert_eq!(Event::parse(body.as_bytes()).unwrap().name, name);
        }
        assert!(matches!(
            event("send_test_ping.json").kind,
            EventKind::TestPing
        ));
        assert!(matches!(event("unknown_event.json").kind, EventKind::Other));
        assert_eq!(Event::parse(b"[]").unwrap_err(), Unparseable);
    }
}
