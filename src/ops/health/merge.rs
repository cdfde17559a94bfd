//! What went between Merge and us in the last hour.

use std::time::Duration;

use phrases::{plural, say};
use queue::rollups::Measure;

use super::{Finding, Severity, Snapshot, trouble};

/// Webhooks acknowledged later than this, the slowest of a hundred, are acknowledged slowly.
const SLOW_ANSWER: Duration = Duration::from_millis(50);
/// Fewer webhooks than this tell nothing about the slowest of a hundred.
const ENOUGH_WEBHOOKS: u64 = 100;

impl Snapshot {
    pub(super) fn look_at_merge(&self, findings: &mut Vec<Finding>) {
        let answers = self.last_hour.of_all(Measure::Acknowledgement);
        let answers = answers.map(|series| &series.total);
        let answers = answers.filter(|answers| answers.count() >= ENOUGH_WEBHOOKS);
        let slowest = answers.and_then(|answers| answers.quantile(0.99));
        if let Some(slowest) = slowest.filter(|slowest| *slowest > SLOW_ANSWER) {
            let sentence = say!(
                "One webhook of a hundred was answered after {millis} ms or more, in the last hour.",
                millis = slowest.as_millis().to_string()
            );
            findings.push(trouble(sentence, "webhooks"));
        }
        let put_off = self.last_hour.of_all(Measure::BudgetExhausted);
        let put_off = put_off.map_or(0, |series| series.total.count());
        if self.budget.are_short || put_off > 0 {
            let errors = self.last_hour.of_all(Measure::ErrorAnswer);
            let errors = errors.map_or(0, |series| series.total.count());
            findings.push(Finding {
                severity: Severity::Notice,
                sentence: say!(
                    "Merge gave {answers} in the last hour, so that {requests} put off: more would block us.",
                    answers = plural!("{count} error answer", "{count} error answers", count = errors),
                    requests = plural!("{count} request was", "{count} requests were", count = put_off)
                ),
                page: "jobs?state=retryable".to_owned(),
            });
        }
    }
}
