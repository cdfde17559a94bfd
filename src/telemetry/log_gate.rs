use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// From one line to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line in a while into the log, of something that may happen thousands of times a second.
#[derive(Debug, Default)]
pub struct LogGate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl LogGate {
    /// Whether this one may be logged, and then how many were not since the last.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now < last + INTERVAL) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_is_logged_and_the_others_are_counted() {
        let gate = LogGate::default();
        let start = Instant::now();

        assert_eq!(gate.pass_at(start), Some(0));
        assert_eq!((gate.pass_at(start), gate.pass_at(start)), (None, None));
        assert_eq!(gate.pass_at(start + INTERVAL), Some(2));
        assert_eq!(gate.pass_at(start + INTERVAL), None);
    }
}
