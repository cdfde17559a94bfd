//! Groups of dead jobs: resolved, or open again. To retry or delete one, see `bulk`.

use queue::admin::groups;
use serde_json::json;

use super::{Deed, Error, Ops};

impl Ops {
    /// Calls a group resolved, until another job dies of it.
    pub async fn resolve_group(&self, fingerprint: &str, reason: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::GroupResolve).await?;
        let request = self.request(Deed::GroupResolve, Some(reason));
        if !groups::resolve(change.connection(), fingerprint, &request).await? {
            return Err(Error::Missing("group of dead jobs"));
        }
        change.done(fingerprint, Some(reason), json!({})).await
    }

    /// Takes that back.
    pub async fn reopen_group(&self, fingerprint: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::GroupReopen).await?;
        if !groups::reopen(change.connection(), fingerprint).await? {
            return Err(Error::Refused("this group is open already".to_owned()));
        }
        change.done(fingerprint, None, json!({})).await
    }
}
