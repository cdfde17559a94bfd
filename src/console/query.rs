//! Which jobs a URL asks for.

use chrono::{DateTime, NaiveDateTime, Utc};
use http::StatusCode;
use phrases::{mark, say};
use queue::admin::{Filter, TimeRange};
use queue::{JobId, JobState, Lane, WorkerId};
use store::AccountId;

use super::fault::Fault;

/// The parameters that are a filter, in the order in which they are written.
const KNOWN: [&str; 19] = [
    "state",
    "kind",
    "queue",
    "error",
    "payload",
    "account",
    "organization",
    "lane",
    "tag",
    "min_attempt",
    "class",
    "http_status",
    "worker",
    "parent",
    "group",
    "time",
    "from",
    "before",
    "after",
];
/// Those that are shown without being asked for.
const USUAL: [&str; 5] = ["state", "kind", "queue", "error", "after"];

/// What a URL asks for, as it was written: empty parameters and unknown ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JobQuery(Vec<(String, String)>);

impl JobQuery {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let wanted = pairs.map(|(name, value)| (name, value.replace('\0', "").trim().to_owned()));
        Self(
            wanted
                .filter(|(name, value)| !value.is_empty() && KNOWN.contains(&name.as_str()))
                .collect(),
        )
    }

    /// The first value of a parameter; empty when it is not asked for.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Is this one of the values asked for?
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.0
            .iter()
            .any(|(known, given)| known == name && given == value)
    }

    /// Is something asked for that is not always shown?
    pub(super) fn is_special(&self) -> bool {
        self.0
            .iter()
            .any(|(name, _)| !USUAL.contains(&name.as_str()))
    }

    /// Without the place in the list.
    pub(super) fn filter(&self) -> String {
        self.with(None)
    }

    /// The first page.
    pub(super) fn first(&self) -> String {
        format!("?{}", self.filter())
    }

    /// The page after this job.
    pub(super) fn after(&self, id: JobId) -> String {
        format!("?{}", self.with(Some(id)))
    }

    fn with(&self, after: Option<JobId>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.0.iter().filter(|(name, _)| name != "after") {
            query.append_pair(name, value);
        }
        if let Some(after) = after {
            query.append_pair("after", &after.to_string());
        }
        query.finish()
    }

    /// The place in the list.
    pub(super) fn place(&self) -> Result<Option<JobId>, Fault> {
        self.parsed("after", mark!("must be a place in the list"))
    }

    /// As the queue takes it.
    pub(super) fn to_filter(&self) -> Result<Filter, Fault> {
        let some = |name| {
            Some(self.text(name))
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let mut filter = Filter {
            states: self.states()?,
            kinds: self.all("kind"),
            queues: self.all("queue"),
            lane: some("lane"),
            organization_id: some("organization"),
            tag: some("tag"),
            min_attempt: self.parsed("min_attempt", mark!("must be a number"))?,
            error_text: some("error"),
            payload: some("payload"),
            error_class: some("class"),
            http_status: self.parsed("http_status", mark!("must be a number such as 503"))?,
            fingerprint: some("group"),
            worker: self
                .parsed("worker", mark!("must be the id of a worker"))?
                .map(WorkerId),
            parent: self.parsed("parent", mark!("must be the id of a job"))?,
            ..Filter::default()
        };
        if let Some(account) =
            self.parsed::<AccountId>("account", mark!("must be our id of an account"))?
        {
            let lane = Lane::account(account.0).as_str().to_owned();
            if filter.lane.as_ref().is_some_and(|other| *other != lane) {
                return Err(Fault::field(
                    "lane",
                    mark!("is another than that of the account"),
                ));
            }
            filter.lane = Some(lane);
        }
        let range = TimeRange {
            from: self.time("from")?,
            before: self.time("before")?,
        };
        match self.text("time") {
            "" | "created" => filter.created = range,
            "run_at" => filter.run_at = range,
            "finished" => filter.finished = range,
            _ => {
                return Err(Fault::field(
                    "time",
                    mark!("must be created, run_at or finished"),
                ));
            }
        }
        Ok(filter)
    }

    fn all(&self, name: &str) -> Vec<String> {
        let given = self.0.iter().filter(|(known, _)| known == name);
        given.map(|(_, value)| value.clone()).collect()
    }

    fn states(&self) -> Result<Vec<JobState>, Fault> {
        let named = |name: String| {
            let state = JobState::ALL
                .into_iter()
                .find(|state| state.as_str() == name);
            state.ok_or_else(|| Fault::field("state", mark!("must be a state of jobs")))
        };
        self.all("state").into_iter().map(named).collect()
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        rule: &'static str,
    ) -> Result<Option<T>, Fault> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Fault::field(name, rule)),
        }
    }

    fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Fault> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        parse_time(text).map(Some)
    }
}

/// A time as browsers write it, or with its zone; without one it is UTC.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, Fault> {
    let plain = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let time = plain
        .map(|time| time.and_utc())
        .or_else(|| text.parse().ok());
    time.ok_or_else(|| {
        let detail = say!("`{text}` is no time: write it as 2027-01-31T23:59.", text);
        Fault::told(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_filters_combine_and_come_back_in_the_url() {
        let text = "state=dead&state=retryable&kind=resync&queue=sync&error=a%26b&payload=window.pages%3D3&organization=o+1&min_attempt=2\
                    &class=timeout&http_status=503&time=finished&from=2027-01-01T00%3A00";
        let query = JobQuery::parse(&format!("{text}&tag=&unknown=1"));

        let filter = query.to_filter().unwrap();

        assert_eq!(query.filter(), text);
        assert_eq!(filter.states, [JobState::Dead, JobState::Retryable]);
        assert_eq!(
            (filter.kinds, filter.queues),
            (vec!["resync".to_owned()], vec!["sync".to_owned()])
        );
        assert_eq!(filter.error_text.as_deref(), Some("a&b"));
        assert_eq!(filter.payload.as_deref(), Some("window.pages=3"));
        assert_eq!(filter.organization_id.as_deref(), Some("o 1"));
        assert_eq!(
            (filter.min_attempt, filter.http_status),
            (Some(2), Some(503))
        );
        assert!(filter.finished.from.is_some() && filter.created == TimeRange::default());
        assert!(query.is_special() && !JobQuery::parse("state=dead").is_special());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in [
            "state=gone",
            "min_attempt=x",
            "worker=1",
            "from=yesterday",
            "time=never",
            "account=1",
        ] {
            assert!(JobQuery::parse(query).to_filter().is_err(), "{query}");
        }
    }

    #[test]
    fn an_account_is_its_lane() {
        let id = "00000000-0000-0000-0000-000000000007";
        let filter = JobQuery::parse(&format!("account={id}"))
            .to_filter()
            .unwrap();

        assert_eq!(filter.lane, Some(format!("acct:{id}")));
        assert!(
            JobQuery::parse(&format!("account={id}&lane=system"))
                .to_filter()
                .is_err()
        );
    }
}
