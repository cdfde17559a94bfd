//! What came of the demo, for people and for programs.

use std::{fmt, time::Duration};

use merge_sandbox::StateView;
use serde::Serialize;

use super::truth::Comparison;

/// Figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Accounts linked and wholly stored.
    pub(super) accounts: usize,
    /// Records stored, those marked as deleted included.
    pub(super) records: u64,
    /// Windows stored.
    pub(super) windows: u64,
    /// Jobs that completed, of every kind.
    pub(super) jobs_completed: u64,
    /// Jobs that ended otherwise.
    pub(super) jobs_failed: u64,
    /// Webhooks acknowledged, and how long that took, measured by the sender.
    pub(super) webhooks: Webhooks,
    /// From the start of the program to the first record in the database.
    pub(super) first_record_seconds: f64,
    /// From the start of the program to the last record of the last first sync.
    pub(super) seconds: f64,
    /// Records a second, from the first request to link until all first syncs were stored.
    pub(super) records_per_second: f64,
    /// The comparison with the sandbox's truth; only with `--once`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truth: Option<Truth>,
}

/// Webhooks, seen from the sender.
#[derive(Debug, Serialize)]
pub(super) struct Webhooks {
    /// Attempts answered with 200.
    pub(super) acknowledged: u64,
    /// Median time to the answer, in milliseconds.
    pub(super) p50_ms: f64,
    /// 99th percentile of it.
    pub(super) p99_ms: f64,
}

/// How what is stored compares with what is true.
#[derive(Debug, Serialize)]
pub(super) struct Truth {
    is_equal: bool,
    records: u64,
    differences: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    described: Vec<String>,
}

impl From<Comparison> for Truth {
    fn from(comparison: Comparison) -> Self {
        Self {
            is_equal: comparison.is_equal(),
            records: comparison.records,
            differences: comparison.differences,
            described: comparison.described,
        }
    }
}

impl From<&StateView> for Webhooks {
    fn from(state: &StateView) -> Self {
        let webhooks = &state.webhooks;
        Self {
            acknowledged: webhooks.answers.get("200").copied().unwrap_or(0),
            p50_ms: milliseconds(webhooks.acknowledged_p50_us),
            p99_ms: milliseconds(webhooks.acknowledged_p99_us),
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1e3
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  accounts in step     {}", self.accounts)?;
        writeln!(
            f,
            "  records stored       {} ({:.0} a second)",
            self.records, self.records_per_second
        )?;
        writeln!(f, "  windows              {}", self.windows)?;
        writeln!(
            f,
            "  jobs                 {} completed, {} failed",
            self.jobs_completed, self.jobs_failed
        )?;
        writeln!(
            f,
            "  webhooks             {}, acknowledged in {:.1} ms (p50), {:.1} ms (p99)",
            self.webhooks.acknowledged, self.webhooks.p50_ms, self.webhooks.p99_ms
        )?;
        write!(
            f,
            "  first record after   {:.1} s",
            self.first_record_seconds
        )
    }
}

/// The sum of a counter over all its label sets that hold every one of `labels`.
///
/// `metrics` is Prometheus' text: `name{label="value",…} number`.
pub(super) fn counter(metrics: &str, name: &str, labels: &[&str]) -> u64 {
    let value = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix(name)?;
        let (set, value) = rest.rsplit_once(' ')?;
        let is_same = set.is_empty() || set.starts_with('{');
        let holds_all = labels.iter().all(|label| set.contains(label));
        (is_same && holds_all).then(|| value.parse().ok())?
    };
    metrics.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_the_labels_asked_for() {
        let text = "# TYPE jobs counter\njobs{kind=\"a\",outcome=\"completed\"} 3\n\
                    jobs{kind=\"b\",outcome=\"completed\"} 4\njobs{kind=\"b\",outcome=\"dead\"} 1\n\
                    jobs_more{outcome=\"completed\"} 9\nplain 5\n";
        assert_eq!(counter(text, "jobs", &[r#"outcome="completed""#]), 7);
        assert_eq!(
            counter(text, "jobs", &[r#"outcome="completed""#, r#"kind="b""#]),
            4
        );
        assert_eq!(counter(text, "plain", &[]), 5);
        assert_eq!(counter(text, "absent", &[]), 0);
    }
}
