//! The Python library of the Standard Webhooks project verifies what we signed, as it came over the wire.
//!
//! The interpreter is the one named by `SYNCLINE_WEBHOOKS_PYTHON`; without it, a virtual environment is made below the
//! target folder, once. Where neither can be had, the test fails when `CI` is set, and else says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use event_sender::{EventSender, Message, Secret, Settings};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
const BODY: &str =
    r#"{"type":"account.linked","timestamp":"2026-11-22T12:00:00Z","data":{"id":1,"who":"Zoë"}}"#;

#[tokio::test]
async fn the_python_library_verifies_what_was_sent() {
    let python = match python() {
        Ok(python) => python,
        Err(why) if variable("CI").is_some() => panic!("the Python library cannot be tried: {why}"),
        Err(why) => {
            // Written past the capture of test output, so that it is seen.
            let text = format!("SKIPPED: the Python library was not tried: {why}\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return;
        }
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
    let mut check = Command::new(python);
    check.arg(Path::new(FOLDER).join("check.py"));
    if let Err(why) = run(&mut check, &given) {
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

fn python() -> Result<PathBuf, String> {
    if let Some(python) = variable("SYNCLINE_WEBHOOKS_PYTHON") {
        return Ok(PathBuf::from(python));
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target folder");
    let environment = target.join("webhooks-venv");
    let python = environment.join("bin/python");
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).map_err(|error| error.to_string())?;
    // Written last, so that a broken installation is tried again.
    let installed = environment.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    run(make.args(["-m", "venv"]).arg(&environment), "")?;
    let mut install = Command::new(&python);
    let install = install.args(["-m", "pip", "install", "--quiet", "-r"]);
    run(install.arg(&requirements), "")?;
    std::fs::write(&installed, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

/// Runs a command to its end, with this text on its stdin.
fn run(command: &mut Command, input: &str) -> Result<Output, String> {
    let failed = |error: std::io::Error| format!("cannot run it: {error}");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).map_err(failed)?;
    drop(stdin);
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(format!(
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&text)
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switches, no setting of the service"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
