//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why there is no server. Each message says what to do when something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder that we know holds both `postgres` and `initdb`.
    #[error(
        "no Postgres server binaries found (looked in {searched}); install version {minimum} or newer: \
         Debian/Ubuntu `apt-get install postgresql`, Fedora `dnf install postgresql-server`, \
         Arch `pacman -S postgresql`, Alpine `apk add postgresql`, macOS `brew install postgresql`"
    )]
    BinariesMissing {
        /// The folders, joined by commas.
        searched: String,
        /// The oldest major version that will do.
        minimum: u32,
    },

    /// There are binaries, but all are too old.
    #[error("the newest Postgres found is version {newest} in {}; version {minimum} or newer is needed", folder.display())]
    BinariesTooOld {
        /// Major version of the newest.
        newest: u32,
        /// Where it lies.
        folder: PathBuf,
        /// The oldest major version that will do.
        minimum: u32,
    },

    /// We are root, and Postgres refuses to run as root.
    #[error(
        "running as root, and there is neither a user `postgres` nor `nobody` to run Postgres as; make one: `useradd --system postgres`"
    )]
    NoUnprivilegedUser,

    /// Another live process runs this cluster.
    #[error("the Postgres cluster in {} is already in use by process {pid}; stop that first", folder.display())]
    InUse {
        /// The kept folder.
        folder: PathBuf,
        /// The process that owns the server, or the server itself when its owner is gone.
        pid: u32,
    },

    /// `data/` exists and is not a cluster of ours.
    #[error("{} exists and is not a Postgres cluster; move it away, or choose another folder", folder.display())]
    NotACluster {
        /// The data folder.
        folder: PathBuf,
    },

    /// The cluster was made by a major version of which no binaries are installed.
    #[error(
        "the cluster in {} was made by Postgres {data}, but only {installed} is installed; \
         install Postgres {data}, or remove the folder to begin anew (its data will be lost)",
        folder.display()
    )]
    OtherVersion {
        /// The data folder.
        folder: PathBuf,
        /// Its major version.
        data: u32,
        /// The versions found, joined by commas.
        installed: String,
    },

    /// The cluster belongs to somebody else.
    #[error("{} belongs to user {owner}; run as {owner} or as root, or remove the folder to begin anew", folder.display())]
    WrongOwner {
        /// The data folder.
        folder: PathBuf,
        /// Name or number of its owner.
        owner: String,
    },

    /// The file with the cluster's password is gone.
    #[error("{} is missing, so nobody can log in to the cluster beside it; put it back, or remove the folder to begin anew (its data will be lost)", file.display())]
    PasswordMissing {
        /// Where it should be.
        file: PathBuf,
    },

    /// A file operation failed.
    #[error("cannot {action} {}{hint}", path.display())]
    File {
        /// What we wanted, `make folder`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Who owns it, when that may be the reason; else empty.
        hint: String,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A program could not be run at all.
    #[error("cannot run {}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// `initdb` failed.
    #[error("initdb failed:\n{output}")]
    Initdb {
        /// The end of what it said.
        output: String,
    },

    /// The server ended before it was ready.
    #[error("Postgres did not start; the end of {}:\n{output}", log.display())]
    DidNotStart {
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        output: String,
    },

    /// The server is alive, but did not become ready, or did not stop, in time.
    #[error("Postgres did not {what} within {seconds} s; see {}", log.display())]
    TimedOut {
        /// `become ready` or `stop`.
        what: &'static str,
        /// How long we waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },

    /// [`Server::restart`](crate::Server::restart) found its port taken by somebody else.
    #[error("port {port} was taken by another process in the meantime")]
    PortTaken {
        /// The port of this server before.
        port: u16,
    },
}

impl Error {
    /// A [`Error::File`] that names the owner when permissions are to blame.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => crate::system_user::owner_hint(&path),
            _ => String::new(),
        };
        Self::File {
            action,
            path,
            hint,
            source,
        }
    }
}
