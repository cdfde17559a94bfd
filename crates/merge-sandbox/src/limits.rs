//! Merge's two limits: requests per account and minute, and error answers per address and 10 s.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::clock::Micros;

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;
/// More error answers than this within [`ERROR_WINDOW`] limit an address.
const ERROR_LIMIT: usize = 20;
const ERROR_WINDOW: Micros = 10 * SECOND;

/// Times within a rolling span.
#[derive(Debug, Default)]
struct Window {
    times: VecDeque<Micros>,
}

impl Window {
    fn count(&mut self, now: Micros, span: Micros) -> usize {
        while self.times.front().is_some_and(|time| *time <= now - span) {
            self.times.pop_front();
        }
        self.times.len()
    }

    /// How long until the oldest time leaves the span, in whole seconds, at least one.
    fn seconds_until_free(&self, now: Micros, span: Micros) -> u64 {
        let left = self.times.front().map_or(0, |oldest| oldest + span - now);
        u64::try_from(left.div_euclid(SECOND) + 1).unwrap_or(1)
    }
}

/// The requests of one account within a rolling minute.
#[derive(Debug, Default)]
pub(crate) struct RateWindow {
    admitted: Window,
    asked: Window,
    /// Requests ever made, refused ones included.
    pub(crate) total: u64,
    /// Requests refused with 429.
    pub(crate) refused: u64,
    /// The most requests in any rolling minute, refused ones included.
    pub(crate) peak: usize,
}

impl RateWindow {
    /// Counts a request; `Err` with the seconds to wait when it is over the limit. A refused request uses nothing up.
    pub(crate) fn admit(&mut self, now: Micros, limit: Option<u32>) -> Result<(), u64> {
        self.total += 1;
        self.asked.times.push_back(now);
        self.peak = self.peak.max(self.asked.count(now, MINUTE));
        let used = self.admitted.count(now, MINUTE);
        if limit.is_some_and(|limit| used >= limit as usize) {
            self.refused += 1;
            return Err(self.admitted.seconds_until_free(now, MINUTE));
        }
        self.admitted.times.push_back(now);
        Ok(())
    }
}

/// The error answers given to each address.
#[derive(Debug, Default)]
pub(crate) struct ErrorBudget {
    addresses: Mutex<HashMap<IpAddr, ErrorCount>>,
}

#[derive(Debug, Default)]
struct ErrorCount {
    errors: Window,
    peak: usize,
    refused: u64,
}

impl ErrorBudget {
    /// `Err` with the seconds to wait when the address made too many errors.
    pub(crate) fn admit(&self, address: IpAddr, now: Micros) -> Result<(), u64> {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(count) = addresses.get_mut(&address) else {
            return Ok(());
        };
        if count.errors.count(now, ERROR_WINDOW) <= ERROR_LIMIT {
            return Ok(());
        }
        count.refused += 1;
        Err(count.errors.seconds_until_free(now, ERROR_WINDOW))
    }

    /// Counts an answer of 400 or more, except 429.
    pub(crate) fn note_error(&self, address: IpAddr, now: Micros) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        count.errors.times.push_back(now);
        count.peak = count.peak.max(count.errors.count(now, ERROR_WINDOW));
    }

    /// The most errors any address had in 10 s, and the requests refused because of them.
    pub(crate) fn peak_and_refused(&self) -> (usize, u64) {
        let addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let peak = addresses
            .values()
            .map(|count| count.peak)
            .max()
            .unwrap_or(0);
        (peak, addresses.values().map(|count| count.refused).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_rolling_minute_admits_more_than_the_limit(steps in prop::collection::vec(0..20_000_000_i64, 1..200)) {
            let mut window = RateWindow::default();
            let mut admitted: Vec<Micros> = Vec::new();
            let mut now = 0;
            for step in steps {
                now += step;
                if window.admit(now, Some(5)).is_ok() {
                    admitted.push(now);
                }
            }

            for (index, start) in admitted.iter().enumerate() {
                let within = admitted[index..].iter().filter(|time| **time < start + MINUTE).count();
                prop_assert!(within <= 5);
            }
        }
    }

    #[test]
    fn waiting_as_told_is_enough() {
        let mut window = RateWindow::default();
        window.admit(500, Some(1)).unwrap();
        let wait = window.admit(1_000, Some(1)).unwrap_err();

        assert!(
            window
                .admit(1_000 + Micros::try_from(wait).unwrap() * SECOND, Some(1))
                .is_ok()
        );
        assert_eq!((window.total, window.refused, window.peak), (3, 1, 2));
    }

    #[test]
    fn the_twenty_first_error_limits_the_address_until_it_is_ten_seconds_old() {
        let budget = ErrorBudget::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for _ in 0..20 {
            budget.note_error(address, 0);
        }
        assert!(budget.admit(address, 1).is_ok());

        budget.note_error(address, 0);

        assert_eq!(budget.admit(address, 1), Err(10));
        assert!(budget.admit(address, ERROR_WINDOW).is_ok());
        assert!(
            budget
                .admit(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1)
                .is_ok()
        );
    }
}
