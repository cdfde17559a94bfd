//! Bodies and queries of the control routes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::Outcome;
use crate::views::Fields;

/// Records of a page of truth at most.
const MAX_TRUTH: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    #[serde(with = "humantime_serde")]
    pub(super) by: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freeze {
    pub(super) is_frozen: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetStatus {
    pub(super) status: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetOutcome {
    pub(super) outcome: Outcome,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RecordFields {
    pub(super) fields: Fields,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TruthQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<usize>,
    pub(super) data: bool,
}

impl TruthQuery {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(1000).clamp(1, MAX_TRUTH)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendQuery {
    pub(super) event: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeliveriesQuery {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Default for DeliveriesQuery {
    fn default() -> Self {
        Self {
            offset: 0,
            limit: 1000,
        }
    }
}
