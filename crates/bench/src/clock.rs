//! One clock for all processes of a run.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine started; the same in every process, and it never jumps.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// The same in whole nanoseconds.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(now().as_nanos()).unwrap_or(u64::MAX)
}
