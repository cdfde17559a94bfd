//! The cluster on disk: of which version, and made whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::binaries::Installation;
use crate::folder::Folder;
use crate::watchdog::Watchdog;
use crate::{Durability, Error};

/// Name of the superuser, and of the database that always exists.
pub(crate) const SUPERUSER: &str = "postgres";

/// How long `initdb` may take; it writes some 40 MB.
const INITDB_DEADLINE: Duration = Duration::from_mins(5);

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 25;

/// The installation that runs this folder's cluster: the preferred one, or the one that made the cluster.
pub(crate) fn installation_for(
    data: &Path,
    installed: Vec<Installation>,
) -> Result<Installation, Error> {
    let Some(made_by) = version(data)? else {
        return Ok(installed
            .into_iter()
            .next()
            .expect("`binaries::find` returns at least one"));
    };
    let versions: Vec<String> = installed
        .iter()
        .map(|each| each.major.to_string())
        .collect();
    installed
        .into_iter()
        .find(|each| each.major == made_by)
        .ok_or_else(|| Error::OtherVersion {
            folder: data.to_path_buf(),
            data: made_by,
            installed: versions.join(", "),
        })
}

/// The major version that made the cluster; `None` when there is none yet.
fn version(data: &Path) -> Result<Option<u32>, Error> {
    if !data.exists() {
        return Ok(None);
    }
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| Error::NotACluster {
                folder: data.to_path_buf(),
            }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::file("read", data.join("PG_VERSION"), error))
        }
        Err(_) => Err(Error::NotACluster {
            folder: data.to_path_buf(),
        }),
    }
}

/// Makes the cluster unless there is one; returns the superuser's password.
///
/// `initdb` works beside `data/`, which appears by a rename when it is complete: an interrupted one is never taken for a cluster.
pub(crate) fn make_if_absent(
    folder: &Folder,
    installation: &Installation,
    durability: Durability,
) -> Result<String, Error> {
    let data = folder.data();
    let file = folder.password();
    if data.exists() {
        return match fs::read_to_string(&file) {
            Ok(password) => Ok(password.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::PasswordMissing { file })
            }
            Err(source) => Err(Error::file("read", &file, source)),
        };
    }
    let password = random_password()?;
    folder.write_secret(&file, &password)?;
    let unfinished = folder.path().join("data.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .map_err(|source| Error::file("remove", &unfinished, source))?;
    }
    folder.make(&unfinished)?;
    initdb(folder, installation, durability, &unfinished)?;
    fs::rename(&unfinished, &data).map_err(|source| Error::file("rename", &unfinished, source))?;
    Ok(password)
}

fn initdb(
    folder: &Folder,
    installation: &Installation,
    durability: Durability,
    target: &Path,
) -> Result<(), Error> {
    let mut arguments: Vec<OsString> = vec!["--pgdata".into(), target.into()];
    arguments.push(format!("--username={SUPERUSER}").into());
    let mut password_file = OsString::from("--pwfile=");
    password_file.push(folder.password());
    arguments.push(password_file);
    // The password is asked for on the socket too: other programs may run as `nobody`.
    for each in [
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ] {
        arguments.push(each.into());
    }
    if durability == Durability::Fast {
        arguments.push("--no-sync".into());
    }
    let program = installation.initdb();
    let mut running = Watchdog::start(folder, &program, &arguments, true)?;
    let status = running
        .wait(INITDB_DEADLINE)
        .map_err(|source| Error::Program { program, source })?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(Error::Initdb {
            output: tail(&folder.log()),
        }),
        None => Err(Error::TimedOut {
            what: "run initdb",
            seconds: INITDB_DEADLINE.as_secs(),
            log: folder.log(),
        }),
    }
}

/// 256 bits in hex, which need no escaping in a URL.
fn random_password() -> Result<String, Error> {
    let source = PathBuf::from("/dev/urandom");
    let mut bytes = [0; 32];
    File::open(&source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::file("read", source, error))?;
    Ok(bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
}

/// Whether the server says that it takes connections: the eighth line of its pid file, as `pg_ctl` reads it.
pub(crate) fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| {
        text.lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready")
    })
}

/// The last lines of a log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
