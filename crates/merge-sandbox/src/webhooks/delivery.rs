//! One delivery: up to three attempts, as Merge makes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use merge_client::webhook;
use tokio::sync::Semaphore;

use super::log::AttemptView;
use crate::clock::{Clock, micros, to_time};
use crate::options::WebhookTarget;

/// The pauses before the second and the third attempt, on the sandbox's clock.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Attempts under way at once; more wait.
const ATTEMPTS_AT_ONCE: usize = 128;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Answered with less than 400.
    Acknowledged,
    /// Answered with 4xx: dropped for good, never retried.
    Refused,
    /// Three attempts failed.
    Exhausted,
    /// The sandbox stopped.
    Abandoned,
}

#[derive(Debug, Clone)]
pub(super) struct Attempter {
    client: reqwest::Client,
    clock: Arc<Clock>,
    timeout: Duration,
    /// Held by attempts, not by pauses, so that failing deliveries do not hold up others.
    slots: Arc<Semaphore>,
}

impl Attempter {
    pub(super) fn new(clock: Arc<Clock>, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: crate::http_client()?,
            clock,
            timeout,
            slots: Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE)),
        })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes attempts until one settles it, and reports each.
    pub(super) async fn run(
        &self,
        target: &WebhookTarget,
        body: &Bytes,
        mut note: impl FnMut(AttemptView),
    ) -> Ending {
        let mut pauses = PAUSES.iter();
        loop {
            let attempt = self.attempt(target, body).await;
            let status = attempt.status;
            note(attempt);
            match status {
                Some(..400) => return Ending::Acknowledged,
                Some(400..500) => return Ending::Refused,
                Some(_) | None => {}
            }
            let Some(pause) = pauses.next() else {
                return Ending::Exhausted;
            };
            self.clock
                .sleep_until(self.clock.now() + micros(*pause))
                .await;
        }
    }

    async fn attempt(&self, target: &WebhookTarget, body: &Bytes) -> AttemptView {
        let _slot = self.slots.acquire().await;
        let at = to_time(self.clock.now());
        let started = Instant::now();
        let result = self
            .client
            .post(target.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(webhook::HEADER, webhook::sign(&target.key, body))
            .timeout(self.timeout)
            .body(body.clone())
            .send()
            .await;
        let latency_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match result {
            Ok(response) => AttemptView {
                at,
                latency_us,
                status: Some(response.status().as_u16()),
                error: None,
            },
            Err(error) => {
                let error = if error.is_timeout() {
                    "timeout"
                } else {
                    "connection"
                };
                AttemptView {
                    at,
                    latency_us,
                    status: None,
                    error: Some(error.to_owned()),
                }
            }
        }
    }
}
