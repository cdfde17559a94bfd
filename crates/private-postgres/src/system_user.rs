//! Whom Postgres runs as: ourselves, or somebody unprivileged when we are root.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User};

use crate::Error;

/// Users that may run Postgres for root, in the order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The operating system's user that runs Postgres and owns its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemUser {
    uid: Uid,
    gid: Gid,
    /// Whether that is somebody else than we are, which only root can bring about.
    is_other: bool,
}

impl SystemUser {
    /// Ourselves; as root `postgres`, else `nobody`.
    pub(crate) fn choose() -> Result<Self, Error> {
        let uid = Uid::effective();
        if !uid.is_root() {
            return Ok(Self {
                uid,
                gid: Gid::effective(),
                is_other: false,
            });
        }
        UNPRIVILEGED
            .into_iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Self {
                uid: user.uid,
                gid: user.gid,
                is_other: true,
            })
            .ok_or(Error::NoUnprivilegedUser)
    }

    /// The same, but as root the owner of `data` when that exists: a cluster keeps its user.
    pub(crate) fn for_data(data: &Path) -> Result<Self, Error> {
        let chosen = Self::choose()?;
        let Ok(metadata) = fs::symlink_metadata(data) else {
            return Ok(chosen);
        };
        let owner = Uid::from_raw(metadata.uid());
        if owner == chosen.uid || owner.is_root() {
            return Ok(chosen);
        }
        if !chosen.is_other {
            return Err(Error::WrongOwner {
                folder: data.to_path_buf(),
                owner: name(owner),
            });
        }
        Ok(Self {
            uid: owner,
            gid: Gid::from_raw(metadata.gid()),
            is_other: true,
        })
    }

    /// Makes `command` run as this user.
    pub(crate) fn apply(&self, command: &mut Command) {
        if self.is_other {
            // Setting a user as root also drops root's supplementary groups.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
    }

    /// Gives a file or folder that we just made to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.is_other {
            return Ok(());
        }
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(|source| Error::file("change the owner of", path, source))
    }

    /// Gives an open file that we just made to this user.
    pub(crate) fn own_file(&self, file: &File, path: &Path) -> Result<(), Error> {
        if !self.is_other {
            return Ok(());
        }
        fchown(file, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(|source| Error::file("change the owner of", path, source))
    }

    /// Whether this user can enter `folder`, which exists. Tried, not computed.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        if !self.is_other {
            return true;
        }
        let mut probe = Command::new("/bin/sh");
        probe
            .args(["-c", "cd \"$1\"", "probe"])
            .arg(folder)
            .current_dir("/")
            .env_clear();
        probe
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.apply(&mut probe);
        probe.status().is_ok_and(|status| status.success())
    }

    /// Whether `path` (not followed) belongs to this user.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == self.uid.as_raw())
    }
}

/// ` (it belongs to user alice)` when `path` or its nearest existing parent is not ours.
pub(crate) fn owner_hint(path: &Path) -> String {
    let Some(metadata) = path
        .ancestors()
        .find_map(|each| fs::symlink_metadata(each).ok())
    else {
        return String::new();
    };
    let owner = Uid::from_raw(metadata.uid());
    if owner == Uid::effective() {
        String::new()
    } else {
        format!(" (it belongs to user {})", name(owner))
    }
}

fn name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}
