//! Logs and metrics of the process: set up once, used through `tracing` and `metrics` everywhere.

mod log_gate;
mod logs;
mod metrics;

pub use self::log_gate::LogGate;
pub use self::logs::init as init_logs;
pub use self::metrics::recorder;
