//! The Python library of the Standard Webhooks project verifies what we signed, as it came over the wire.
//!
//! The interpreter is that of `test_support::Python`; `SYNCLINE_WEBHOOKS_PYTHON` names another.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use event_sender::{EventSender, Message, Secret, Settings};
use secrecy::ExposeSecret as _;
use test_support::Python;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
const BODY: &str =
    r#"{"type":"account.linked","timestamp":"2026-11-22T12:00:00Z","data":{"id":1,"who":"Zoë"}}"#;

#[tokio::test]
async fn the_python_library_verifies_what_was_sent() {
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let tmpdir = env!("CARGO_TARGET_TMPDIR");
    let Some(python) = Python::with("webhooks", &requirements, tmpdir) else {
        return;
    };
    let (old, new, other) = (Secret::generate(), Secret::generate(), Secret::generate());

    let headers = send(&[new.clone(), old.clone()]).await;

    let text = |secret: &Secret| format!("{:?}", secret.to_text().expose_secret());
    let given = format!(
        "{{\"headers\": {{{headers}}}, \"body\": {BODY:?}, \"accepted\": [{}, {}], \"refused\": [{}]}}",
        text(&old),
        text(&new),
        text(&other)
    );
    let script = Path::new(FOLDER).join("check.py");
    if let Err(why) = python.run([script], &given) {
        panic!("{why}");
    }
}

/// Sends a message to a listener; gives the headers that came there, as the members of a JSON object.
async fn send(secrets: &[Secret]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let settings = Settings {
        allow_plain_http: true,
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..Settings::default()
    };
    let sender = EventSender::new(settings).unwrap();
    let message = Message {
        id: "evt_1",
        #[expect(
            clippy::disallowed_methods,
            reason = "the far side looks at its own clock"
        )]
        timestamp: chrono::Utc::now().timestamp(),
        body: BODY,
    };
    let url = url.parse().unwrap();
    let receiving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        while !bytes.ends_with(BODY.as_bytes()) {
            let read = stream.read(&mut chunk).await.unwrap();
            assert_ne!(read, 0, "it broke off");
            bytes.extend_from_slice(&chunk[..read]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let (sent, request) = tokio::join!(sender.send(&url, secrets, message), receiving);
    assert_eq!(sent.unwrap(), 200);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let headers = head.lines().skip(1).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        format!("{name:?}: {value:?}")
    });
    headers.collect::<Vec<_>>().join(", ")
}
