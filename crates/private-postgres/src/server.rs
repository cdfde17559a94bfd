//! A running server.

use std::ffi::OsString;
use std::fmt::{self, Debug, Formatter};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::binaries::{self, Installation};
use crate::cluster::{self, SUPERUSER};
use crate::folder::{self, Folder};
use crate::system_user::SystemUser;
use crate::watchdog::{Stop, TICK, Watchdog};
use crate::{Directory, Durability, Error, Options, placement, previous};

/// How long a start may take; recovery after a crash replays at most `max_wal_size`.
const START_DEADLINE: Duration = Duration::from_mins(2);

/// How long a stop may take; the watchdog insists after 60 s.
const STOP_DEADLINE: Duration = Duration::from_secs(75);

/// How many ports are tried: another process may take one between our choice and the server's start.
const PORT_ATTEMPTS: usize = 8;

/// A Postgres server of our own, which stops when this value is dropped or its process ends, however it ends.
///
/// Its methods block; async callers start it with `spawn_blocking`.
pub struct Server {
    folder: Folder,
    installation: Installation,
    settings: Vec<(String, String)>,
    password: String,
    port: u16,
    running: Option<Watchdog>,
}

impl Server {
    /// Starts a server and waits until it takes connections.
    ///
    /// About a second for a new cluster (`initdb`), 50 ms for an existing one.
    pub fn start(options: Options) -> Result<Self, Error> {
        let installed = binaries::find()?;
        let folder = claim(&options.data)?;
        // From here on a temporary folder is ours to remove, also when a step below fails.
        let mut server = Self {
            installation: cluster::installation_for(&folder.data(), installed)?,
            settings: settings(options.durability, folder.socket(), options.settings),
            folder,
            password: String::new(),
            port: 0,
            running: None,
        };
        server.password =
            cluster::make_if_absent(&server.folder, &server.installation, options.durability)?;
        previous::remove_stale_pid_file(&server.folder)?;
        server.start_on_a_free_port()?;
        Ok(server)
    }

    /// `postgres://…@127.0.0.1:port/database`, with the password. `postgres` is a database that always exists.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// The same through the Unix socket: the socket's folder, percent-encoded, in the place of the host.
    pub fn socket_url(&self, database: &str) -> String {
        let host = self.folder.socket().to_string_lossy().replace('/', "%2F");
        format!(
            "postgres://{SUPERUSER}:{}@{host}:{}/{database}",
            self.password, self.port
        )
    }

    /// The port on 127.0.0.1. It changes with every start, but not with [`restart`](Self::restart).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Major version, such as 17.
    pub fn major_version(&self) -> u32 {
        self.installation.major
    }

    /// The folder with `data/`, `password` and `postgres.log`; not always the one wished for (see the crate's page).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that holds what the server says since its last start.
    pub fn log(&self) -> PathBuf {
        self.folder.log()
    }

    /// Whether the server runs. `false` after a stop, or when it ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running
            .as_mut()
            .is_some_and(|watchdog| matches!(watchdog.ended(), Ok(None)))
    }

    /// Stops the server for good: open transactions are rolled back, temporary data is removed.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end(Stop::Forever)
    }

    /// Stops the server in an orderly way; [`restart`](Self::restart) brings it back.
    pub fn stop_fast(&mut self) -> Result<(), Error> {
        self.end(Stop::Fast)
    }

    /// Stops the server as a crash would: no checkpoint, every connection cut. [`restart`](Self::restart) recovers.
    pub fn stop_immediate(&mut self) -> Result<(), Error> {
        self.end(Stop::Immediate)
    }

    /// Starts the server again with the same data and port, so that clients may reconnect; stops it first if it runs.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.end(Stop::Fast)?;
        previous::remove_stale_pid_file(&self.folder)?;
        if self.try_start(true)? {
            Ok(())
        } else {
            Err(Error::PortTaken { port: self.port })
        }
    }

    fn start_on_a_free_port(&mut self) -> Result<(), Error> {
        for attempt in 0..PORT_ATTEMPTS {
            self.port = free_port()?;
            if self.try_start(attempt == 0)? {
                return Ok(());
            }
        }
        Err(Error::DidNotStart {
            log: self.log(),
            output: cluster::tail(&self.log()),
        })
    }

    /// Starts and waits; `false` when the port is taken.
    fn try_start(&mut self, begin_log_anew: bool) -> Result<bool, Error> {
        let program = self.installation.postgres();
        let arguments = self.arguments();
        let mut watchdog = Watchdog::start(&self.folder, &program, &arguments, begin_log_anew)?;
        let begun = Instant::now();
        loop {
            let ended = watchdog.ended().map_err(|source| Error::Program {
                program: program.clone(),
                source,
            })?;
            if ended.is_some() {
                let output = cluster::tail(&self.log());
                if output.contains("could not bind") {
                    return Ok(false);
                }
                return Err(Error::DidNotStart {
                    log: self.log(),
                    output,
                });
            }
            if cluster::is_ready(&self.folder.data()) && self.answers() {
                self.running = Some(watchdog);
                return Ok(true);
            }
            if begun.elapsed() > START_DEADLINE {
                // Dropping the watchdog closes its pipe, which stops the server.
                return Err(Error::TimedOut {
                    what: "become ready",
                    seconds: START_DEADLINE.as_secs(),
                    log: self.log(),
                });
            }
            sleep(TICK);
        }
    }

    fn answers(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec!["-D".into(), self.folder.data().into_os_string()];
        arguments.extend(["-p".into(), self.port.to_string().into()]);
        for (name, value) in &self.settings {
            arguments.extend(["-c".into(), format!("{name}={value}").into()]);
        }
        arguments
    }

    fn end(&mut self, how: Stop) -> Result<(), Error> {
        let Some(mut watchdog) = self.running.take() else {
            return Ok(());
        };
        watchdog.ask(how);
        let ended = watchdog
            .wait(STOP_DEADLINE)
            .map_err(|source| Error::Program {
                program: "/bin/sh".into(),
                source,
            })?;
        if let Some(status) = ended {
            if status.signal().is_some() {
                // Somebody killed the watchdog itself: then nobody but us can stop the server.
                previous::stop_orphan(&self.folder.data());
            }
            return Ok(());
        }
        Err(Error::TimedOut {
            what: "stop",
            seconds: STOP_DEADLINE.as_secs(),
            log: self.log(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end(Stop::Forever) {
            tracing::warn!(%error, "cannot stop the private Postgres");
        }
        self.folder.clean_up();
    }
}

impl Debug for Server {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("folder", &self.folder.path())
            .field("port", &self.port)
            .field("major_version", &self.installation.major)
            .finish_non_exhaustive()
    }
}

fn claim(directory: &Directory) -> Result<Folder, Error> {
    match directory {
        Directory::Temporary => {
            let user = SystemUser::choose()?;
            folder::remove_orphans(user);
            let path = placement::temporary(user, placement::CLUSTER_PREFIX)?;
            Folder::claim(path, user, true)
        }
        Directory::Kept(wished) => {
            let (path, user) = placement::kept(wished)?;
            Folder::claim(path, user, false)
        }
    }
}

/// What the server is told beside its folder and port. The last word is the caller's.
fn settings(
    durability: Durability,
    socket: &Path,
    callers: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let on = match durability {
        Durability::Durable => "on",
        Durability::Fast => "off",
    };
    let socket = socket.to_string_lossy();
    let ours = [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", &*socket),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "200"),
        ("shared_buffers", "64MB"),
        ("fsync", on),
        ("full_page_writes", on),
        ("synchronous_commit", on),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_line_prefix", "%m [%p] "),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    let mut settings: Vec<(String, String)> = ours
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    settings.extend(callers);
    settings
}

/// A port that nobody listens on, by asking the system for one and giving it back.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| Error::file("bind a port of", "127.0.0.1", source))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn stops_even_when_somebody_killed_its_watchdog() {
        let mut server = Server::start(Options::throwaway()).unwrap();
        let watchdog = server.running.as_ref().unwrap().pid();
        let killed = Command::new("kill")
            .args(["-9", &watchdog.to_string()])
            .status();
        assert!(killed.unwrap().success());
        let (folder, port) = (server.folder().to_owned(), server.port());
        while server.is_running() {
            sleep(TICK);
        }
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());

        drop(server);

        assert!(!folder.exists());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
