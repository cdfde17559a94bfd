//! Decides which folder holds a cluster.
//!
//! Usually the one the caller wished for. But as root Postgres runs as somebody else, and a clone below
//! `/root` (mode 0700) is out of that user's reach. Then the cluster lives in [`REFUGE`], in a folder
//! named after the wished one, and the wished folder keeps a note, [`NOTE`], that says where. The note decides:
//! whoever removes the wished folder wants to begin anew, so a refuge without its note is emptied.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::system_user::SystemUser;

/// Where clusters live that cannot live where they should.
const REFUGE: &str = "/var/lib/private-postgres";

/// Name of the file in the wished folder that tells where its cluster is.
const NOTE: &str = "MOVED";

/// Folders below which a temporary cluster may live; the first that Postgres' user can enter.
fn temporary_roots() -> [PathBuf; 3] {
    [
        env::temp_dir(),
        PathBuf::from("/tmp"),
        PathBuf::from("/var/tmp"),
    ]
}

/// Beginning of the names of temporary clusters' folders.
pub(crate) const CLUSTER_PREFIX: &str = "private-postgres-";

/// Beginning of the names of folders that hold nothing but a socket.
pub(crate) const SOCKET_PREFIX: &str = "pg-socket-";

/// The folder for a kept cluster, made if need be, and the user who runs it.
pub(crate) fn kept(wished: &Path) -> Result<(PathBuf, SystemUser), Error> {
    let wished =
        std::path::absolute(wished).map_err(|source| Error::file("find", wished, source))?;
    let user = SystemUser::for_data(&wished.join("data"))?;
    make_passable(&wished)?;
    if user.can_enter(&wished) {
        return Ok((wished, user));
    }
    let refuge = Path::new(REFUGE).join(format!("{:016x}", fingerprint(&wished)));
    let note = wished.join(NOTE);
    if !note.exists() {
        forget(&refuge)?;
        let text = format!(
            "{}\n\nPostgres cannot run as root, and its user cannot enter this folder; so its data is there.\n\
             Remove this file to begin anew.\n",
            refuge.display()
        );
        fs::write(&note, text).map_err(|source| Error::file("write", &note, source))?;
    }
    make_passable(&refuge)?;
    let user = SystemUser::for_data(&refuge.join("data"))?;
    tracing::info!(wished = %wished.display(), actual = %refuge.display(), "Postgres' user cannot enter the folder, using another");
    Ok((refuge, user))
}

/// A new temporary folder of `user`'s, removed by nobody but us.
pub(crate) fn temporary(user: SystemUser, prefix: &str) -> Result<PathBuf, Error> {
    let root = temporary_root(user);
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&root)
        .map_err(|source| Error::file("make a temporary folder in", &root, source))?
        .keep();
    user.own(&folder)?;
    Ok(folder)
}

/// The folder below which temporary ones are made.
pub(crate) fn temporary_root(user: SystemUser) -> PathBuf {
    let [preferred, ..] = temporary_roots();
    temporary_roots()
        .into_iter()
        .find(|root| root.is_dir() && user.can_enter(root))
        .unwrap_or(preferred)
}

/// Removes a cluster in the refuge whose note is gone, unless a server still runs there.
fn forget(refuge: &Path) -> Result<(), Error> {
    if !refuge.exists() {
        return Ok(());
    }
    crate::folder::remove_unused(refuge)
}

/// Makes `folder`, which everybody may pass through and only its owner may list; an existing one stays as it is.
fn make_passable(folder: &Path) -> Result<(), Error> {
    let make = || {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        DirBuilder::new().recursive(true).mode(0o711).create(folder)
    };
    make().map_err(|source| Error::file("make folder", folder, source))
}

/// FNV-1a, 64 bits: the same for the same path, in every version of this program.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
