//! Names: jobs, lanes, queues, workers.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;

/// A job's id: UUIDv7, so ids sort by the time of enqueueing.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    pub(crate) fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The smallest UUIDv7 of a time.
pub(crate) fn first_at(time: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis.min((1 << 48) - 1)) << 80)
}

/// A worker's id: fresh at every start of a process, so a restart never inherits a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct WorkerId(pub Uuid);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WorkerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The unit of leasing, ordering and rate: one for each linked account, a few for the system.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Lane(String);

impl Lane {
    /// Bytes a lane's name may have.
    pub const MAX_BYTES: usize = 300;

    /// The lane of a linked account, `acct:<uuid>`.
    pub fn account(id: Uuid) -> Self {
        Self(format!("acct:{id}"))
    }

    /// The lane of an organization, for what happens before an account exists, `org:<id>`.
    pub fn organization(id: &str) -> Self {
        Self(format!("org:{id}"))
    }

    /// One of the lanes in which webhook deliveries are worked off, `webhooks:<shard>`.
    pub fn webhooks(shard: u32) -> Self {
        Self(format!("webhooks:{shard}"))
    }

    /// The lane of an endpoint that events are sent to, `endpoint:<uuid>`.
    pub fn endpoint(id: Uuid) -> Self {
        Self(format!("endpoint:{id}"))
    }

    /// The lane of what belongs to nobody else.
    pub fn system() -> Self {
        Self("system".to_owned())
    }

    /// The lane that somebody names, whether there is one or not.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for what no lane can be called.
    pub fn named(name: &str) -> Result<Self, Error> {
        let lane = Self(name.to_owned());
        lane.check()?;
        Ok(lane)
    }

    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(name: String) -> Self {
        Self(name)
    }

    /// Refuses names the database would refuse, before a transaction is spoilt by them.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_name("lane", &self.0, Self::MAX_BYTES)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses empty and overlong names and the one character Postgres text cannot hold.
pub(crate) fn check_name(what: &'static str, name: &str, max_bytes: usize) -> Result<(), Error> {
    let rule = if name.is_empty() {
        "it must not be empty"
    } else if name.len() > max_bytes {
        "it is too long"
    } else if name.contains('\0') {
        "it must not hold a NUL character"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        what,
        name: name.chars().take(80).collect(),
        rule,
    })
}

/// A class of jobs with slots of its own in each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue(&'static str);

impl Queue {
    /// Somebody waits for the answer: kept free of everything else.
    pub const INTERACTIVE: Self = Self("interactive");
    /// Polls and fetches: the bulk. A lane with a job of any other queue is urgent, and claimed first.
    pub const SYNC: Self = Self("sync");
    /// Working off received deliveries.
    pub const WEBHOOKS: Self = Self("webhooks");
    /// Sending events to endpoints: whoever is slow there keeps nothing else waiting.
    pub const OUTBOUND: Self = Self("outbound");
    /// Schedules and house-keeping.
    pub const MAINTENANCE: Self = Self("maintenance");
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::INTERACTIVE,
        Self::SYNC,
        Self::WEBHOOKS,
        Self::OUTBOUND,
        Self::MAINTENANCE,
    ];

    /// The name as stored and shown.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    pub(crate) fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.0 == name)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_name_what_they_serve() {
        let id = Uuid::nil();

        assert_eq!(
            Lane::account(id).as_str(),
            "acct:00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(Lane::organization("o 1/ü").as_str(), "org:o 1/ü");
        assert_eq!(Lane::webhooks(3).as_str(), "webhooks:3");
        assert_eq!(
            Lane::endpoint(id).as_str(),
            "endpoint:00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn refuses_names_the_database_would_refuse() {
        assert!(Lane::organization(&"x".repeat(297)).check().is_err());
        assert!(Lane::organization("a\0b").check().is_err());
        assert!(Lane::organization(&"x".repeat(296)).check().is_ok());
    }

    #[test]
    fn queues_are_found_by_their_stored_name() {
        for queue in Queue::ALL {
            assert_eq!(Queue::from_stored(queue.as_str()), Some(queue));
        }
        assert_eq!(Queue::from_stored("other"), None);
    }
}
