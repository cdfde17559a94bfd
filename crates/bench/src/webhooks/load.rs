//! A sender of signed webhooks that costs little itself: plain sockets, one request after another on each.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use merge_client::webhook::{HEADER, sign};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::statistics::percentile;
use crate::webhooks::receiver::SECRET;
use crate::webhooks::schema::ACCOUNTS;
use crate::workloads::count;

/// Bytes of a body.
const BODY_BYTES: usize = 2048;
/// Bytes of an answer, at most.
const ANSWER_BYTES: usize = 4096;

/// Where to send.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    address: SocketAddr,
    connections: usize,
    /// No body is sent twice.
    sent: Arc<AtomicU64>,
}

/// How fast to send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// The next as soon as the last is answered, on each connection.
    AsFastAsAnswered,
    /// So many a second in all; one that cannot be sent in time counts from when it should have been.
    PerSecond(u32),
}

/// What was answered 200; anything else is an error.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) seconds: f64,
    pub(crate) latencies_ms: Vec<f64>,
}

impl Taken {
    /// p50, p99, p99.9 and the longest.
    pub(crate) fn percentiles(&self) -> [f64; 4] {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let thousandth = sorted.len() - sorted.len() / 1_000;
        [
            percentile(&sorted, 50),
            percentile(&sorted, 99),
            sorted
                .get(thousandth.saturating_sub(1))
                .copied()
                .unwrap_or(0.0),
            percentile(&sorted, 100),
        ]
    }
}

impl Load {
    pub(crate) fn at(port: u16, connections: usize) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            connections,
            sent: Arc::default(),
        }
    }

    /// Sends for so long.
    pub(crate) async fn run(&self, pace: Pace, length: Duration) -> Result<Taken> {
        let begun = Instant::now();
        let mut senders = JoinSet::new();
        for number in 0..self.connections {
            let mut sender = Sender::connect(self).await?;
            let schedule = Schedule::of(pace, begun, number, self.connections);
            senders.spawn(async move { sender.run(schedule, begun + length).await });
        }
        let mut latencies_ms = Vec::new();
        while let Some(sender) = senders.join_next().await {
            latencies_ms.extend(sender.context("a sender panicked")??);
        }
        Ok(Taken {
            seconds: begun.elapsed().as_secs_f64(),
            latencies_ms,
        })
    }
}

/// When one connection sends.
struct Schedule {
    next: Option<Instant>,
    spacing: Duration,
}

impl Schedule {
    fn of(pace: Pace, begun: Instant, number: usize, connections: usize) -> Self {
        match pace {
            Pace::AsFastAsAnswered => Self {
                next: None,
                spacing: Duration::ZERO,
            },
            Pace::PerSecond(rate) => {
                let spacing = Duration::from_secs_f64(count(connections) / f64::from(rate));
                Self {
                    next: Some(begun + spacing.mul_f64(count(number) / count(connections))),
                    spacing,
                }
            }
        }
    }

    /// Waits for the next time; the time itself.
    async fn wait(&mut self) -> Instant {
        let Some(next) = self.next else {
            return Instant::now();
        };
        sleep_until(next).await;
        self.next = Some(next + self.spacing);
        next
    }
}

struct Sender {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Sender {
    async fn connect(load: &Load) -> Result<Self> {
        let stream = TcpStream::connect(load.address)
            .await
            .context("cannot connect to the receiver")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            sent: Arc::clone(&load.sent),
            request: Vec::new(),
            answer: vec![0; ANSWER_BYTES],
        })
    }

    /// Sends until then; the latencies in milliseconds.
    async fn run(&mut self, mut schedule: Schedule, end: Instant) -> Result<Vec<f64>> {
        let mut latencies = Vec::new();
        loop {
            let due = schedule.wait().await;
            if due >= end {
                return Ok(latencies);
            }
            self.send().await?;
            latencies.push(due.elapsed().as_secs_f64() * 1_000.0);
        }
    }

    async fn send(&mut self) -> Result<()> {
        let body = body(self.sent.fetch_add(1, Ordering::Relaxed));
        let head = format!(
            "POST /api/webhooks/merge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {HEADER}: {}\r\nContent-Length: {}\r\n\r\n",
            sign(SECRET, &body),
            body.len()
        );
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(&body);
        self.stream.write_all(&self.request).await?;
        self.read_answer().await
    }

    async fn read_answer(&mut self) -> Result<()> {
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.answer[length..]).await?;
            ensure!(read > 0, "the receiver hung up");
            length += read;
            let answer = &self.answer[..length];
            if let Some(whole) = whole_length(answer)
                && length >= whole
            {
                let is_ok = answer.starts_with(b"HTTP/1.1 200");
                ensure!(is_ok, "{}", String::from_utf8_lossy(answer));
                return Ok(());
            }
        }
    }
}

/// How long an answer is, once its headers are there.
fn whole_length(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let name = "content-length: ";
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix(name)?
            .parse::<usize>()
            .ok()
    })?;
    Some(head.len() + 4 + length)
}

/// One that tells news of one of our accounts.
fn body(number: u64) -> Vec<u8> {
    let account = number % u64::from(ACCOUNTS);
    let (seconds, micros) = (number / 1_000_000 % 60, number % 1_000_000);
    let mut body = format!(
        r#"{{"hook":{{"id":"h","event":"LinkedAccount.sync_completed","target":"https://product.example"}},"linked_account":{{"id":"account_{account}","category":"hris"}},"data":{{"is_initial_sync":false,"sync_status":{{"hris.Employee":{{"last_sync_finished":"2026-02-04T03:16:{seconds:02}.{micros:06}Z","last_sync_result":"DONE"}}}},"integration_name":""#
    );
    let rest = BODY_BYTES - body.len() - 3;
    body.extend(std::iter::repeat_n('x', rest));
    body.push_str("\"}}");
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_one_length_and_all_different() {
        for number in [0, 1, 1_234_567] {
            let body = body(number);
            assert_eq!(body.len(), BODY_BYTES);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
        assert_ne!(body(1), body(2));
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

        assert_eq!(whole_length(answer), Some(answer.len()));
        assert_eq!(whole_length(&answer[..20]), None);
    }
}
