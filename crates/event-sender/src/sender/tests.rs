use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use http::HeaderMap;
use secrecy::ExposeSecret as _;
use standardwebhooks::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// An endpoint that answers each connection's first request with the same bytes; counts and keeps what came.
struct Endpoint {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>,
    server: JoinHandle<()>,
}

impl Endpoint {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own server, aborted with it"
    )]
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
        let counter = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let request = read_request(&mut stream).await;
                sender.send(request).unwrap();
                stream.write_all(&answer).await.unwrap();
                // The connection stays open.
                std::mem::forget(stream);
            }
        });
        Self {
            address,
            connections,
            requests,
            server,
        }
    }

    fn url(&self) -> Url {
        format!("http://{}/in?tenant=7", self.address)
            .parse()
            .unwrap()
    }

    /// Headers and body of the next request.
    async fn request(&mut self) -> (HeaderMap, Vec<u8>) {
        let bytes = self.requests.recv().await.unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert!(head.starts_with("POST /in?tenant=7 HTTP/1.1\r\n"), "{head}");
        let headers = head.lines().skip(1).map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (
                http::HeaderName::try_from(name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        (headers.collect(), bytes[end + 4..].to_vec())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let whole = text.find("\r\n\r\n").is_some_and(|end| {
            let length = text.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            bytes.len() >= end + 4 + length.unwrap_or(0)
        });
        if whole || read == 0 {
            return bytes;
        }
    }
}

/// As for tests on this machine.
fn permissive() -> Settings {
    Settings {
        allow_plain_http: true,
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    }
}

fn message(body: &str) -> Message<'_> {
    Message {
        id: "evt_7",
        #[expect(
            clippy::disallowed_methods,
            reason = "the far side looks at its own clock"
        )]
        timestamp: chrono::Utc::now().timestamp(),
        body,
    }
}

async fn send(settings: Settings, url: &Url) -> Result<u16, SendError> {
    let sender = EventSender::new(settings).unwrap();
    sender.send(url, &[Secret::generate()], message("{}")).await
}

#[tokio::test]
async fn a_receiver_verifies_it_with_any_of_the_active_secrets() {
    let mut endpoint = Endpoint::answering(OK).await;
    let sender = EventSender::new(permissive()).unwrap();
    let (old, new, other) = (Secret::generate(), Secret::generate(), Secret::generate());
    let body = r#"{"type":"record.updated","name":"Zoë"}"#;

    let status = sender
        .send(&endpoint.url(), &[new.clone(), old.clone()], message(body))
        .await;

    assert_eq!(status.unwrap(), 204);
    let (headers, received) = endpoint.request().await;
    assert_eq!(received, body.as_bytes());
    assert_eq!(headers["webhook-id"], "evt_7");
    assert_eq!(headers["content-type"], "application/json");
    let verify = |secret: &Secret| {
        let webhook = Webhook::new(secret.to_text().expose_secret()).unwrap();
        webhook.verify(&received, &headers).is_ok()
    };
    assert!(verify(&old) && verify(&new));
    assert!(!verify(&other));
}

#[tokio::test]
async fn each_answer_is_told_as_what_it_is() {
    for (answer, status, wait) in [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            400,
            None,
        ),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            503,
            Some(7),
        ),
        (
            "HTTP/1.1 301 Moved\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n",
            301,
            None,
        ),
    ] {
        let endpoint = Endpoint::answering(answer).await;

        let error = send(permissive(), &endpoint.url()).await.unwrap_err();

        assert_eq!(error.status(), Some(status));
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), wait);
        assert_eq!(endpoint.connections.load(Ordering::SeqCst), 1);
    }
    let gone = Endpoint::answering("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").await;
    let error = send(permissive(), &gone.url()).await.unwrap_err();
    assert!(matches!(error, SendError::Gone));
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    answer.resize(MAX_ANSWER_BYTES * 3, b'x');
    let endpoint = Endpoint::answering(answer).await;

    // Else it would wait for the rest of it until the time is up.
    let settings = Settings {
        request_timeout: Duration::from_hours(1),
        ..permissive()
    };
    let url = endpoint.url();
    let sent = tokio::time::timeout(Duration::from_secs(30), send(settings, &url)).await;
    assert_eq!(sent.expect("it stops reading").unwrap(), 200);
}

#[tokio::test]
async fn silence_ends_in_time() {
    let endpoint = Endpoint::answering("").await;
    let settings = Settings {
        request_timeout: Duration::from_millis(100),
        ..permissive()
    };

    let error = send(settings, &endpoint.url()).await.unwrap_err();

    assert!(matches!(error, SendError::TimedOut(_)), "{error:?}");
    assert_eq!(error.to_string(), "the endpoint did not answer in time");
}

#[tokio::test]
async fn nobody_there_is_told_without_our_networks_secrets() {
    let endpoint = Endpoint::answering(OK).await;
    let url = endpoint.url();
    drop(endpoint);

    let error = send(permissive(), &url).await.unwrap_err();

    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    assert_eq!(error.to_string(), "the endpoint could not be reached");
}

/// A name that stands for these addresses.
fn stands_for(addresses: &'static [&'static str]) -> LookUp {
    Arc::new(move |_| {
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        async move { Ok(addresses) }.boxed()
    })
}

#[tokio::test]
async fn an_address_that_is_not_public_gets_no_connection() {
    let endpoint = Endpoint::answering(OK).await;
    let port = endpoint.address.port();
    let settings = Settings {
        allow_plain_http: true,
        ..Settings::default()
    };
    // By itself, and by a name that leads there.
    let literal = send(settings.clone(), &endpoint.url()).await.unwrap_err();
    assert!(matches!(literal, SendError::Refused(Refusal::Address)));
    for addresses in [
        &["127.0.0.1"][..],
        &["::ffff:127.0.0.1"],
        &["::1", "10.0.0.1", "169.254.169.254"],
    ] {
        let sender = EventSender::with_look_up(settings.clone(), stands_for(addresses)).unwrap();
        let url = format!("http://hooks.example:{port}/").parse().unwrap();

        let error = sender.send(&url, &[], message("{}")).await.unwrap_err();

        assert!(
            matches!(error, SendError::Refused(Refusal::Address)),
            "{addresses:?}: {error:?}"
        );
    }
    // The system's own names for this machine.
    let url = format!("http://localhost:{port}/").parse().unwrap();
    let error = send(settings, &url).await.unwrap_err();
    assert!(
        matches!(error, SendError::Refused(Refusal::Address)),
        "{error:?}"
    );
    assert_eq!(endpoint.connections.load(Ordering::SeqCst), 0);
}

/// A name that changes its mind: a public address for whoever checks, this machine for whoever connects.
#[tokio::test]
async fn a_name_is_looked_up_once_and_that_answer_is_the_one_used() {
    let endpoint = Endpoint::answering(OK).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&looks);
    let rebinding: LookUp = Arc::new(move |_| {
        // Public, and nobody there: the connection is refused or times out.
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        let address: IpAddr = if first {
            "255.255.255.254"
        } else {
            "127.0.0.1"
        }
        .parse()
        .unwrap();
        async move { Ok(vec![address]) }.boxed()
    });
    let settings = Settings {
        allow_plain_http: true,
        // Stands for a public one, so that no packet leaves this machine.
        allowed_networks: vec!["255.255.255.254/32".parse().unwrap()],
        request_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let sender = EventSender::with_look_up(settings, rebinding).unwrap();
    let url: Url = format!("http://hooks.example:{}/", endpoint.address.port())
        .parse()
        .unwrap();
    sender.check(&url).unwrap();

    let first = sender.send(&url, &[], message("{}")).await.unwrap_err();
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    let second = sender.send(&url, &[], message("{}")).await.unwrap_err();

    assert!(!matches!(first, SendError::Refused(_)), "{first:?}");
    assert!(
        matches!(second, SendError::Refused(Refusal::Address)),
        "{second:?}"
    );
    assert_eq!(endpoint.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_several_addresses_the_public_ones_are_used() {
    let mut endpoint = Endpoint::answering(OK).await;
    let settings = Settings {
        allow_plain_http: true,
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..Settings::default()
    };
    let sender =
        EventSender::with_look_up(settings, stands_for(&["127.0.0.2", "127.0.0.1"])).unwrap();
    let url = format!(
        "http://hooks.example:{}/in?tenant=7",
        endpoint.address.port()
    )
    .parse()
    .unwrap();

    sender.send(&url, &[], message("{}")).await.unwrap();

    let (headers, _) = endpoint.request().await;
    assert_eq!(
        headers["host"],
        format!("hooks.example:{}", endpoint.address.port())
    );
}
