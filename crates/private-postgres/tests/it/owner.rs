//! Owners that die: this test binary starts itself as a process that owns a server.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_postgres::{Options, Server};

use crate::{ask, tell};

/// A process that owns a server.
pub(crate) struct Owner {
    process: Child,
    pub(crate) url: String,
    pub(crate) folder: PathBuf,
}

impl Owner {
    /// Starts one, of a temporary cluster or of the one in `kept`.
    pub(crate) fn start(kept: Option<&Path>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([
            "--exact",
            "owner::owns_a_server_until_killed",
            "--ignored",
            "--nocapture",
        ]);
        command.env("OWNED_FOLDER", kept.unwrap_or(Path::new("")));
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("owner ").map(str::to_owned));
        let line = line.expect("the owner says where its server is");
        let (url, folder) = line.split_once(' ').unwrap();
        Self {
            process,
            url: url.to_owned(),
            folder: folder.into(),
        }
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "the owner's process, started by the tests below"]
#[expect(clippy::print_stdout, reason = "speaks to the test that started it")]
#[expect(
    clippy::disallowed_methods,
    reason = "argument of the test that started it"
)]
fn owns_a_server_until_killed() {
    let Some(folder) = env::var_os("OWNED_FOLDER") else {
        return;
    };
    let options = if folder.is_empty() {
        Options::throwaway()
    } else {
        Options::kept(folder)
    };
    let server = Server::start(options).unwrap();
    println!(
        "\nowner {} {}",
        server.url("postgres"),
        server.folder().display()
    );
    // Ends by itself when the test that started it dies.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn killing_the_owner_stops_the_server_and_removes_its_folder() {
    let owner = Owner::start(None);
    assert_eq!(ask(&owner.url, "SELECT 'alive'"), "alive");
    let (folder, port) = (owner.folder.clone(), port(&owner.url));

    owner.kill();

    wait_until("the folder is gone", || !folder.exists());
    wait_until("the port is closed", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    });
}

#[test]
fn the_next_owner_waits_for_the_server_of_a_killed_one() {
    let parent = tempfile::tempdir().unwrap();
    let owner = Owner::start(Some(parent.path()));
    assert_eq!(ask(&owner.url, "SELECT 'alive'"), "alive");

    owner.kill();
    let server = Server::start(Options::kept(parent.path())).unwrap();

    tell(&server, "CREATE TABLE notes AS SELECT 'mine' AS note");
    assert_eq!(
        ask(&server.url("postgres"), "SELECT note FROM notes"),
        "mine"
    );
}

#[test]
fn the_next_owner_stops_a_server_whose_watchdog_was_killed_too() {
    let parent = tempfile::tempdir().unwrap();
    let owner = Owner::start(Some(parent.path()));
    let Some(watchdog) = child_of(owner.process.id()) else {
        return;
    };
    let port = port(&owner.url);

    let killed = Command::new("kill").args(["-9", &watchdog]).status();
    assert!(killed.unwrap().success());
    owner.kill();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let server = Server::start(Options::kept(parent.path())).unwrap();

    assert_eq!(ask(&server.url("postgres"), "SELECT 'mine'"), "mine");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// The pid of a process's child, where there is `/proc`.
fn child_of(parent: u32) -> Option<String> {
    let line = format!("PPid:\t{parent}");
    std::fs::read_dir("/proc")
        .ok()?
        .filter_map(Result::ok)
        .find_map(|process| {
            let status = std::fs::read_to_string(process.path().join("status")).ok()?;
            status
                .lines()
                .any(|each| each == line)
                .then(|| process.file_name().into_string().unwrap())
        })
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':')
        .unwrap()
        .1
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not in time: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
