//! The folder of a cluster: what lies in it, and who may use it.
//!
//! Two locks tell apart what a pid file cannot. `owner.lock` is held by the process that uses [`Server`](crate::Server), and
//! by nobody else: free means that process is gone. `server.lock` is inherited by the watchdog, Postgres and all its
//! children: free means that not one of them is left. The kernel releases both, however a process ends.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;

use crate::system_user::SystemUser;
use crate::{Error, placement, previous};

/// A socket's path must fit in 104 bytes (macOS) with `/.s.PGSQL.65535.lock` behind the folder.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// A temporary folder without its owner is left alone for this long, since it may be a brand-new one.
const ORPHAN_AGE: Duration = Duration::from_mins(1);

/// The folder of one cluster, ours for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    user: SystemUser,
    is_temporary: bool,
    socket: PathBuf,
    /// Held, never read.
    _owner: File,
    /// Lent to the watchdog.
    server: File,
}

impl Folder {
    /// Takes `path` for this process, once the server of an owner that died has ended.
    pub(crate) fn claim(
        path: PathBuf,
        user: SystemUser,
        is_temporary: bool,
    ) -> Result<Self, Error> {
        let mut owner = open(&path.join("owner.lock"), user)?;
        if !try_lock(&owner, &path)? {
            return Err(Error::InUse {
                pid: read_pid(&mut owner),
                folder: path,
            });
        }
        write_pid(&mut owner)
            .map_err(|source| Error::file("write", path.join("owner.lock"), source))?;
        let server = open(&path.join("server.lock"), user)?;
        if !try_lock(&server, &path)? {
            previous::outlast(&path, &server)?;
        }
        let socket = socket_folder(&path, user)?;
        Ok(Self {
            path,
            user,
            is_temporary,
            socket,
            _owner: owner,
            server,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn user(&self) -> SystemUser {
        self.user
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.is_temporary
    }

    /// The cluster proper, `PGDATA`.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Where the Unix socket is, mode 0700.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The superuser's password, mode 0600.
    pub(crate) fn password(&self) -> PathBuf {
        self.path.join("password")
    }

    /// What the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// The lock that must live as long as the server.
    pub(crate) fn server_lock(&self) -> io::Result<File> {
        self.server.try_clone()
    }

    /// Opens the log for appending; each start of a server begins a new one and keeps the one before.
    pub(crate) fn open_log(&self, begin_anew: bool) -> Result<File, Error> {
        let log = self.log();
        if begin_anew && log.exists() {
            let before = self.path.join("postgres.log.before");
            fs::rename(&log, &before).map_err(|source| Error::file("rename", &log, source))?;
        }
        open(&log, self.user)
    }

    /// Makes a new, private folder of Postgres' user.
    pub(crate) fn make(&self, path: &Path) -> Result<(), Error> {
        make(path, self.user)
    }

    /// Writes a new file that only Postgres' user may read.
    pub(crate) fn write_secret(&self, path: &Path, text: &str) -> Result<(), Error> {
        let mut file = open(path, self.user)?;
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(|source| Error::file("write", path, source))
    }

    /// Removes a temporary folder, and a socket folder that lies elsewhere. Quiet: nobody can act upon a failure.
    pub(crate) fn clean_up(&self) {
        if !self.socket.starts_with(&self.path) {
            let _ = fs::remove_dir_all(&self.socket);
        }
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes temporary folders of owners that died so suddenly that not even their watchdog could (power failure).
pub(crate) fn remove_orphans(user: SystemUser) {
    let Ok(entries) = fs::read_dir(placement::temporary_root(user)) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(placement::CLUSTER_PREFIX)
            && user.owns(&entry.path());
        if is_ours && is_old(&entry) {
            let _ = remove_unused(&entry.path());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with a file's time, which is the system's"
)]
fn is_old(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    changed.is_ok_and(|at| {
        SystemTime::now()
            .duration_since(at)
            .is_ok_and(|age| age > ORPHAN_AGE)
    })
}

/// Removes a cluster's folder if no process uses it.
pub(crate) fn remove_unused(folder: &Path) -> Result<(), Error> {
    for lock in ["owner.lock", "server.lock"] {
        let Ok(mut file) = existing(&folder.join(lock)) else {
            continue;
        };
        if !try_lock(&file, folder)? {
            return Err(Error::InUse {
                folder: folder.to_path_buf(),
                pid: read_pid(&mut file),
            });
        }
    }
    fs::remove_dir_all(folder).map_err(|source| Error::file("remove", folder, source))
}

/// Takes a lock without waiting; `false` when another process holds it.
pub(crate) fn try_lock(file: &File, folder: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(Error::file("lock", folder, source)),
    }
}

/// `socket/` in the folder, emptied; or a temporary folder when that path is too long or too odd for a socket.
fn socket_folder(path: &Path, user: SystemUser) -> Result<PathBuf, Error> {
    let socket = path.join("socket");
    if !socket.to_str().is_some_and(fits_a_socket) {
        return placement::temporary(user, placement::SOCKET_PREFIX);
    }
    // A socket's lock file names a pid, which may meanwhile be somebody else's: never leave one.
    if socket.exists() {
        fs::remove_dir_all(&socket).map_err(|source| Error::file("remove", &socket, source))?;
    }
    make(&socket, user)?;
    Ok(socket)
}

/// Postgres takes a comma-separated list of folders, and URLs have characters of their own.
fn fits_a_socket(path: &str) -> bool {
    path.len() <= LONGEST_SOCKET_FOLDER
        && path
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || "/._-".contains(each))
}

fn make(path: &Path, user: SystemUser) -> Result<(), Error> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::file("make folder", path, source))?;
    user.own(path)
}

/// Opens a file for reading and appending; made if need be, then private and of Postgres' user.
fn open(path: &Path, user: SystemUser) -> Result<File, Error> {
    // Root must not be led elsewhere by a link which that user put there.
    let made = options().append(true).create_new(true).open(path);
    let opened = match made {
        Ok(file) => {
            user.own_file(&file, path)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => existing(path),
        Err(error) => Err(error),
    };
    opened.map_err(|source| Error::file("open", path, source))
}

fn existing(path: &Path) -> io::Result<File> {
    options().append(true).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{}", std::process::id())
}

/// The pid in a lock file; 0 when it cannot be read.
fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    text.trim().parse().unwrap_or(0)
}
