//! By what metrics are told apart. The name of a constant is longer than its label's where several share that.

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub values: &'static str,
}

pub(super) const QUEUE: Label = Label {
    name: "queue",
    values: "a queue: `interactive`, `sync`, `webhooks`, `outbound`, `maintenance`",
};
pub(super) const KIND: Label = Label {
    name: "kind",
    values: "a kind of job: the name of a file in `jobs/`",
};
pub(super) const OUTCOME: Label = Label {
    name: "outcome",
    values: "`completed`, `retried`, `dead`, `cancelled`, `snoozed`, `handed_back`, `fenced`",
};
pub(super) const JOB_STATE: Label = Label {
    name: "state",
    values: "`available` (due), `running`, `retryable` (failed, and runs again), `scheduled`",
};
pub(super) const WORKER_STATE: Label = Label {
    name: "state",
    values: "`working`, `not_working` (draining, told to be quiet, or silent)",
};
pub(super) const ANSWER: Label = Label {
    name: "verdict",
    values: "`stored`, `unverified` (401), `no_secret`, `incomplete`, `shed`, `not_stored`",
};
pub(super) const JUDGEMENT: Label = Label {
    name: "verdict",
    values: "`processed`, `ignored`, `parked`, `unknown_account`, `unparseable`, `duplicate`",
};
pub(super) const MERGE_STATUS: Label = Label {
    name: "status",
    values: "`2xx`, `3xx`, `4xx`, `429`, `5xx`, `none` (no answer)",
};
pub(super) const CATEGORY: Label = Label {
    name: "category",
    values: "a category of Merge's: `hris`, `ats`, `crm`, …",
};
pub(super) const SENT: Label = Label {
    name: "outcome",
    values: "`delivered`, or what kept it from being",
};
pub(super) const REASON: Label = Label {
    name: "reason",
    values: "why",
};
pub(super) const METHOD: Label = Label {
    name: "method",
    values: "an HTTP method, or `OTHER`",
};
pub(super) const ROUTE: Label = Label {
    name: "route",
    values: "the pattern of a route, or `unmatched`",
};
pub(super) const STATUS: Label = Label {
    name: "status",
    values: "the status of the answer",
};
pub(super) const POOL: Label = Label {
    name: "pool",
    values: "`jobs`, `api`",
};
pub(super) const CONNECTION_STATE: Label = Label {
    name: "state",
    values: "`used`, `idle`",
};
pub(super) const TRACE_OUTCOME: Label = Label {
    name: "outcome",
    values: "`sent`, `lost` (the collector did not take them)",
};
pub(super) const VERSION: Label = Label {
    name: "version",
    values: "as `syncline --version` shows",
};
