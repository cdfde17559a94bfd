//! Logs and metrics of the process: set up once, used through `tracing` and `metrics` everywhere.

mod catalogue;
mod gauges;
mod log_gate;
mod logs;
mod metrics;

pub use self::catalogue::{CATALOGUE, Kind, Label, Metric};
pub use self::gauges::{look_at_database, look_once, note_pools};
pub use self::log_gate::LogGate;
pub use self::logs::init as init_logs;
pub use self::metrics::recorder;
