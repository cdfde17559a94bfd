//! What requests to operate the service say.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::field::Text;

/// Why, in the words of who asks. For the audit log.
pub(super) type Reason = Text<250>;

/// Nothing more is to be said: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

/// Why, if there is something to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Perhaps {
    reason: Option<Reason>,
}

impl Perhaps {
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_ref().map(Text::as_str)
    }
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    reason: Reason,
}

impl Because {
    pub(super) fn reason(&self) -> &str {
        self.reason.as_str()
    }
}

/// Why, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Until {
    pub(super) reason: Reason,
    /// Without it, until somebody resumes it.
    pub(super) until: Option<DateTime<Utc>>,
}
