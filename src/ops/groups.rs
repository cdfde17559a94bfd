//! Groups of dead jobs: resolved, or open again. To retry or delete one, see `bulk`.

use chrono::{DateTime, Utc};
use phrases::{Phrase, mark, say};
use queue::admin::groups::{self, DeadGroup};
use serde_json::json;

use super::words::age;
use super::{Deed, Error, Ops};

/// What somebody said about a group, and whether that still holds.
pub fn standing(group: &DeadGroup, now: DateTime<Utc>) -> Option<Phrase> {
    group.resolution.as_ref().map(|resolution| {
        let (by, ago) = (&resolution.by, age(now - resolution.at));
        if group.is_open() {
            say!("came back after {by} resolved it {age} ago", by, age = ago)
        } else {
            say!(
                "resolved by {by} {age} ago: {reason}",
                by,
                age = ago,
                reason = &resolution.reason
            )
        }
    })
}

impl Ops {
    /// Calls a group resolved, until another job dies of it.
    pub async fn resolve_group(&self, fingerprint: &str, reason: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::GroupResolve).await?;
        let request = self.request(Deed::GroupResolve, Some(reason));
        if !groups::resolve(change.connection(), fingerprint, &request).await? {
            return Err(Error::Missing(mark!("group of dead jobs")));
        }
        change.done(fingerprint, Some(reason), json!({})).await
    }

    /// Takes that back.
    pub async fn reopen_group(&self, fingerprint: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::GroupReopen).await?;
        if !groups::reopen(change.connection(), fingerprint).await? {
            return Err(Error::Refused(say!("this group is open already")));
        }
        change.done(fingerprint, None, json!({})).await
    }
}
