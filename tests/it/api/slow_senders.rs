//! Thousands who connect, and never end what they say.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use futures::future::join_all;
use merge_client::webhook::{HEADER, sign};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{TestApp, WEBHOOK_SECRET};

/// As many as there may be connections.
const SLOW: usize = 2_000;
/// Webhooks that come beside them, each on a connection of its own.
const WEBHOOKS: usize = 50;
/// Far less than the slow ones have until they are cut off.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_beside_two_thousand_slow_senders() {
    let app = TestApp::new().await;
    let url = app.serve().await;
    let address = url.strip_prefix("http://").unwrap();
    let slow = (0..SLOW).map(async |number| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let said = match number % 3 {
            0 => "",
            1 => "POST /api/webhooks/merge HTTP/1.1\r\nhost: a\r\n",
            _ => "POST /api/webhooks/merge HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc",
        };
        stream.write_all(said.as_bytes()).await.unwrap();
        stream
    });
    let slow = join_all(slow).await;

    for number in 0..WEBHOOKS {
        let answer = tokio::time::timeout(PATIENCE, deliver(address, number));
        let answer = answer
            .await
            .unwrap_or_else(|_| panic!("{number}: no answer"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{number}: {answer}");
    }

    assert_eq!(app.count_deliveries().await, WEBHOOKS);
    drop(slow);
}

/// A signed webhook, and what is answered.
async fn deliver(address: &str, number: usize) -> String {
    let body = format!(r#"{{"number": {number}}}"#);
    let request = format!(
        "POST /api/webhooks/merge HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n{HEADER}: {}\r\n\r\n{body}",
        body.len(),
        sign(WEBHOOK_SECRET, body.as_bytes()),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
