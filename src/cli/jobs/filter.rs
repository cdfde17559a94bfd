//! Which jobs: the same filter as the console's, a flag for each.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use queue::admin::TimeRange;
use queue::{JobId, JobState, Lane, Queue, WorkerId};
use store::AccountId;
use uuid::Uuid;

/// A list that is empty for a slip of the pen would look like good news. (A kind may be retired, and still have jobs.)
pub(in crate::cli) fn queues() -> PossibleValuesParser {
    PossibleValuesParser::new(Queue::ALL.map(Queue::as_str))
}

fn states() -> impl TypedValueParser<Value = JobState> {
    let names = PossibleValuesParser::new(JobState::ALL.map(JobState::as_str));
    names.map(|name| {
        let state = JobState::ALL
            .into_iter()
            .find(|state| state.as_str() == name);
        state.expect("one of the names that are possible")
    })
}

/// Conditions that all must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only those in one of these states.
    #[arg(long, value_parser = states(), value_delimiter = ',')]
    state: Vec<JobState>,
    /// Only those of one of these kinds.
    #[arg(long, value_delimiter = ',')]
    kind: Vec<String>,
    /// Only those of one of these queues.
    #[arg(long, value_parser = queues(), value_delimiter = ',')]
    queue: Vec<String>,
    /// Only those whose last error contains this text.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only those whose payload holds this: a path and the text there, such as account_id=7, or a path alone.
    #[arg(long, value_name = "PATH=TEXT")]
    payload: Option<String>,
    /// Only those of this linked account (our id).
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only those of this organization.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only those in this lane.
    #[arg(long, conflicts_with = "account")]
    lane: Option<String>,
    /// Only those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only those with at least so many attempts begun.
    #[arg(long, value_name = "COUNT")]
    min_attempt: Option<u16>,
    /// Only those with at most so many attempts begun.
    #[arg(long, value_name = "COUNT")]
    max_attempt: Option<u16>,
    /// Only those that an error of this class ended.
    #[arg(long)]
    class: Option<String>,
    /// Only those that died of this answer of the far side, such as 503.
    #[arg(long, value_name = "STATUS")]
    http_status: Option<u16>,
    /// Only those that this worker runs, or ran last.
    #[arg(long, value_name = "ID")]
    worker: Option<Uuid>,
    /// Only those that this job enqueued.
    #[arg(long, value_name = "ID")]
    parent: Option<JobId>,
    /// Only the dead ones of this group, as `dead list` shows it.
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Which time --from and --before are about.
    #[arg(long, value_enum, default_value_t = Which::Created)]
    time: Which,
    /// Only from this time on, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Only before this time.
    #[arg(long, value_name = "TIME")]
    before: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// When they were enqueued.
    Created,
    /// Their earliest start.
    RunAt,
    /// When they ended.
    Finished,
}

impl Filter {
    /// As the queue takes it.
    pub(super) fn as_queued(&self) -> queue::admin::Filter {
        let of_account = self.account.map(|id| Lane::account(id.0).to_string());
        let mut filter = queue::admin::Filter {
            states: self.state.clone(),
            kinds: self.kind.clone(),
            queues: self.queue.clone(),
            lane: of_account.or_else(|| self.lane.clone()),
            organization_id: self.organization.clone(),
            tag: self.tag.clone(),
            min_attempt: self.min_attempt,
            max_attempt: self.max_attempt,
            error_text: self.error.clone(),
            payload: self.payload.clone(),
            error_class: self.class.clone(),
            http_status: self.http_status,
            fingerprint: self.group.clone(),
            worker: self.worker.map(WorkerId),
            parent: self.parent,
            ..queue::admin::Filter::default()
        };
        let range = TimeRange {
            from: self.from,
            before: self.before,
        };
        match self.time {
            Which::Created => filter.created = range,
            Which::RunAt => filter.run_at = range,
            Which::Finished => filter.finished = range,
        }
        filter
    }
}
