//! Who connects and then keeps us waiting.

use std::{net::SocketAddr, sync::Arc};

use axum::routing::{get, post};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    time::Instant,
};

use super::*;

const WHOLE: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HEADERS_WITHOUT_END: &str = "GET / HTTP/1.1\r\nhost: a\r\n";
const BODY_WITHOUT_END: &str = "POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc";

/// Of a test that waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, ended with the value.
struct Served {
    address: SocketAddr,
    /// Lets `/gate` answer.
    gate: Arc<Notify>,
    /// `/gate` has been asked.
    is_asked: Arc<Notify>,
    shutdown: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Served {
    async fn start(allowance: Allowance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, is_asked) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (opens, asked) = (Arc::clone(&gate), Arc::clone(&is_asked));
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/in", post(async |body: String| body))
            .route(
                "/gate",
                get(async move || {
                    asked.notify_one();
                    opens.notified().await;
                    "open"
                }),
            );
        let shutdown = CancellationToken::new();
        let serving = serve_within(allowance, listener, router, shutdown.clone());
        TaskTracker::new().spawn(serving);
        Self {
            address,
            gate,
            is_asked,
            shutdown,
        }
    }

    async fn connect(&self, said: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream
    }
}

fn room_for(connections: usize) -> Allowance {
    Allowance {
        connections,
        header_timeout: Duration::from_hours(1),
    }
}

/// Waits for an answer.
async fn answered(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let reading = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
    let read = reading.await.expect("an answer").unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Waits until the other side has ended the connection.
async fn is_cut(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    // With bytes of ours unread it is a reset, which is an error.
    end.await.is_ok()
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off_at_the_deadline() {
    let header_timeout = Duration::from_millis(300);
    let served = Served::start(Allowance {
        connections: 10,
        header_timeout,
    })
    .await;
    let began = Instant::now();
    let mut stream = served.connect(HEADERS_WITHOUT_END).await;

    // Always one more, so that it never falls silent.
    let dripping = async {
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let is_cut = tokio::time::timeout(PATIENCE, dripping).await;

    is_cut.expect("it is cut off");
    assert!(began.elapsed() >= header_timeout);
}

#[tokio::test]
async fn who_keeps_us_waiting_gives_way_oldest_first() {
    for unfinished in ["", HEADERS_WITHOUT_END, BODY_WITHOUT_END] {
        let served = Served::start(room_for(3)).await;
        let oldest = served.connect(unfinished).await;
        let mut younger = served.connect(unfinished).await;
        let mut served_before = served.connect(WHOLE).await;
        assert!(answered(&mut served_before).await.ends_with("here"));

        let mut late = served.connect(WHOLE).await;

        assert!(answered(&mut late).await.ends_with("here"), "{unfinished}");
        assert!(is_cut(oldest).await, "{unfinished}");
        let rest = match unfinished {
            "" => WHOLE,
            HEADERS_WITHOUT_END => "\r\n",
            _ => "defghi",
        };
        younger.write_all(rest.as_bytes()).await.unwrap();
        let answer = answered(&mut younger).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{unfinished}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_that_was_answered_is_idle_and_goes_last() {
    let served = Served::start(room_for(2)).await;
    let mut answered_before = served.connect(WHOLE).await;
    assert!(answered(&mut answered_before).await.ends_with("here"));
    let silent = served.connect("").await;

    let mut late = served.connect(WHOLE).await;
    assert!(answered(&mut late).await.ends_with("here"));
    assert!(is_cut(silent).await);
    let mut later = served.connect(WHOLE).await;

    assert!(answered(&mut later).await.ends_with("here"));
    assert!(is_cut(answered_before).await);
}

#[tokio::test]
async fn a_request_that_is_worked_on_keeps_its_place() {
    let served = Served::start(room_for(1)).await;
    let gate = "GET /gate HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut first = served.connect(gate).await;
    served.is_asked.notified().await;

    let mut second = served.connect(WHOLE).await;
    served.gate.notify_one();

    assert!(answered(&mut first).await.ends_with("open"));
    assert!(answered(&mut second).await.ends_with("here"));
    assert!(is_cut(first).await);
}
