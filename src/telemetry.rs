//! Logs, metrics and traces of the process: set up once, used through `tracing` and `metrics` everywhere.

mod attempt_lines;
mod catalogue;
mod collector;
mod gauges;
mod json;
mod log_gate;
mod logs;
mod metrics;
mod traces;

pub use self::attempt_lines::attempt_lines;
pub use self::catalogue::{CATALOGUE, Kind, Label, Metric};
pub use self::gauges::{look_at_database, look_once, note_pools};
pub use self::log_gate::LogGate;
pub use self::logs::init as init_logs;
pub use self::metrics::recorder;
pub use self::traces::flush as flush_traces;
