//! Which jobs somebody means.

use std::ops::Range;

use chrono::{DateTime, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    error::Error,
    ids::{JobId, WorkerId, check_name, first_at},
    view::JobState,
};

/// Values one list of a filter may hold.
const MAX_VALUES: usize = 100;
/// Bytes of one value.
const MAX_VALUE_BYTES: usize = 300;

/// Conditions on jobs, all of which must hold; an empty list and `None` ask for nothing.
///
/// Ranges include their start and exclude their end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = JobFilter)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Any of these.
    pub states: Vec<JobState>,
    /// Any of these.
    pub kinds: Vec<String>,
    /// Any of these.
    pub queues: Vec<String>,
    /// This lane.
    #[schema(min_length = 1, max_length = 300)]
    pub lane: Option<String>,
    /// Jobs of this organization.
    #[schema(min_length = 1, max_length = 300)]
    pub organization_id: Option<String>,
    /// Jobs that have this tag.
    #[schema(min_length = 1, max_length = 300)]
    pub tag: Option<String>,
    /// At least so many attempts begun.
    pub min_attempt: Option<u16>,
    /// At most so many attempts begun.
    pub max_attempt: Option<u16>,
    /// When they were enqueued.
    #[serde(deserialize_with = "by_name")]
    pub created: TimeRange,
    /// Their earliest start.
    #[serde(deserialize_with = "by_name")]
    pub run_at: TimeRange,
    /// When they ended.
    #[serde(deserialize_with = "by_name")]
    pub finished: TimeRange,
    /// Part of the last error's text, in whatever case.
    #[schema(min_length = 1, max_length = 300)]
    pub error_text: Option<String>,
    /// What the payload holds: a path and the text there, such as `account_id=7` or `window.pages=3`; without `=` and
    /// what follows, that there is something.
    #[schema(min_length = 1, max_length = 300)]
    pub payload: Option<String>,
    /// The class of the error that ended them.
    #[schema(min_length = 1, max_length = 300)]
    pub error_class: Option<String>,
    /// What the far side answered when they died.
    #[schema(minimum = 100, maximum = 599)]
    pub http_status: Option<u16>,
    /// Dead jobs of this group; see [`super::groups`].
    #[schema(min_length = 1, max_length = 300)]
    pub fingerprint: Option<String>,
    /// Jobs that this worker runs, or ran last.
    pub worker: Option<WorkerId>,
    /// Jobs that this job enqueued.
    pub parent: Option<JobId>,
}

/// A span of time, open where a bound is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeRange {
    /// Not earlier.
    pub from: Option<DateTime<Utc>>,
    /// Earlier than this.
    pub before: Option<DateTime<Utc>>,
}

/// serde would take a list for a struct, by position.
fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeRange, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    TimeRange::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

impl TimeRange {
    fn is_open(self) -> bool {
        self.from.is_none() && self.before.is_none()
    }
}

/// The tables jobs are in, as `all_jobs.place` has them.
const LIVE: &str = "live";
const DEAD: &str = "dead";
pub(super) const HISTORY: &str = "history";

impl Filter {
    /// Refuses what cannot be meant, before the database sees it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let lists = [("kind", &self.kinds), ("queue", &self.queues)];
        for (what, values) in lists {
            if values.len() > MAX_VALUES {
                return Err(invalid(
                    what,
                    format!("at most {MAX_VALUES} can be asked for"),
                ));
            }
            for value in values {
                check_name(what, value, MAX_VALUE_BYTES)?;
            }
        }
        let values = [
            ("lane", &self.lane),
            ("organization", &self.organization_id),
            ("tag", &self.tag),
            ("text of an error", &self.error_text),
            ("class of an error", &self.error_class),
            ("payload", &self.payload),
            ("group of dead jobs", &self.fingerprint),
        ];
        for (what, value) in values {
            if let Some(value) = value {
                check_name(what, value, MAX_VALUE_BYTES)?;
            }
        }
        let path = self.payload_path();
        if path.is_some_and(|path| path.iter().any(String::is_empty)) {
            let rule = "write a path and what stands there, such as account_id=7 or window.pages=3";
            return Err(invalid("payload", rule.to_owned()));
        }
        if let (Some(min), Some(max)) = (self.min_attempt, self.max_attempt)
            && min > max
        {
            return Err(invalid("attempts", format!("{min} is more than {max}")));
        }
        if let Some(status) = self.http_status
            && !(100..600).contains(&status)
        {
            return Err(invalid(
                "HTTP status",
                format!("{status} is not between 100 and 599"),
            ));
        }
        for (what, range) in [
            ("time of creation", self.created),
            ("earliest start", self.run_at),
            ("end", self.finished),
        ] {
            check_range(what, range)?;
        }
        Ok(())
    }

    /// The tables that can hold such jobs.
    pub(super) fn places(&self) -> Vec<String> {
        let wanted = |state: JobState| self.states.is_empty() || self.states.contains(&state);
        let any = |states: &[JobState]| states.iter().any(|state| wanted(*state));
        let asks_for_end = !self.finished.is_open() || self.error_class.is_some();
        let asks_for_death = self.http_status.is_some() || self.fingerprint.is_some();
        let is_live = any(&JobState::LIVE) && !asks_for_end && !asks_for_death;
        let is_history = any(&[JobState::Completed, JobState::Cancelled]) && !asks_for_death;
        [
            (LIVE, is_live),
            (DEAD, wanted(JobState::Dead)),
            (HISTORY, is_history),
        ]
        .into_iter()
        .filter(|(_, is_asked)| *is_asked)
        .map(|(place, _)| place.to_owned())
        .collect()
    }

    /// The names that lead to the value in the payload that is asked for.
    pub(super) fn payload_path(&self) -> Option<Vec<String>> {
        let (path, _) = halves(self.payload.as_deref()?);
        Some(path.split('.').map(|name| name.trim().to_owned()).collect())
    }

    /// What must stand there; `None`: anything.
    pub(super) fn payload_text(&self) -> Option<&str> {
        halves(self.payload.as_deref()?).1
    }

    /// Whether only running jobs are asked for.
    pub(super) fn is_of_running(&self) -> bool {
        self.states == [JobState::Running]
    }

    /// The ids such jobs can have. Ids carry the time at which they were made, by the clock of the
    /// process that enqueued; an hour is left for clocks and for long transactions.
    pub(super) fn ids(&self) -> Range<Option<Uuid>> {
        const SLACK: chrono::TimeDelta = chrono::TimeDelta::hours(1);
        let first = self.created.from.map(|from| first_at(from - SLACK));
        let last = [self.created.before, self.finished.before];
        let last = last.into_iter().flatten().min();
        first..last.map(|before| first_at(before + SLACK))
    }
}

/// A path, and what must stand there. Only the whole text counts: whoever may look, but not see what is secret, could
/// else find it out letter by letter.
fn halves(payload: &str) -> (&str, Option<&str>) {
    match payload.split_once('=') {
        Some((path, text)) => (path, Some(text.trim())),
        None => (payload, None),
    }
}

/// Times that both the database and ids can hold; nothing real lies outside.
pub(super) fn check_time(what: &'static str, time: DateTime<Utc>) -> Result<(), Error> {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single();
    let is_possible = year(1970) <= Some(time) && Some(time) < year(2200);
    if is_possible {
        return Ok(());
    }
    Err(invalid(
        what,
        format!("{time} is not between 1970 and 2200"),
    ))
}

fn check_range(what: &'static str, range: TimeRange) -> Result<(), Error> {
    for time in [range.from, range.before].into_iter().flatten() {
        check_time(what, time)?;
    }
    match (range.from, range.before) {
        (Some(from), Some(before)) if from >= before => {
            Err(invalid(what, format!("{from} is not before {before}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn invalid(what: &'static str, reason: String) -> Error {
    Error::InvalidRequest { what, reason }
}
