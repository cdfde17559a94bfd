//! Finds Postgres server binaries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The oldest major version we start.
pub(crate) const MINIMUM: u32 = 14;

/// Folders beside `PATH` where systems put server binaries; at most one `*` each.
///
/// Debian, Alpine, openSUSE; PGDG's RPMs; Homebrew on ARM, Intel and Linux; Postgres.app, MacPorts; from source.
const FOLDERS: [&str; 12] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/libexec/postgresql*",
    "/usr/lib/postgresql*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/usr/local/pgsql/bin",
];

/// One installed Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) major: u32,
    folder: PathBuf,
}

impl Installation {
    /// Path of `postgres`.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// Path of `initdb`.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// Everything installed that will do, in the order of preference: `PATH`, then the newest.
///
/// Never empty. Errors: [`Error::BinariesMissing`], [`Error::BinariesTooOld`].
pub(crate) fn find() -> Result<Vec<Installation>, Error> {
    let folders = candidates();
    let found: Vec<Installation> = folders
        .iter()
        .filter_map(|folder| inspect(folder))
        .collect();
    let usable: Vec<Installation> = found
        .iter()
        .filter(|each| each.major >= MINIMUM)
        .cloned()
        .collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    Err(match found.into_iter().max_by_key(|each| each.major) {
        Some(Installation {
            major: newest,
            folder,
        }) => Error::BinariesTooOld {
            newest,
            folder,
            minimum: MINIMUM,
        },
        None => Error::BinariesMissing {
            searched: FOLDERS.join(", "),
            minimum: MINIMUM,
        },
    })
}

/// Existing folders that hold both programs, each once.
#[expect(clippy::disallowed_methods, reason = "a program is found by `PATH`")]
fn candidates() -> Vec<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&on_path).collect();
    for pattern in FOLDERS {
        folders.extend(expand(pattern));
    }
    folders.extend(pg_config_folder());

    // `/usr/bin/postgres` is often a link into a versioned folder: follow it, so that each counts once.
    let mut unique = Vec::new();
    for folder in folders {
        let Ok(postgres) = fs::canonicalize(folder.join("postgres")) else {
            continue;
        };
        let Some(home) = postgres.parent().map(Path::to_path_buf) else {
            continue;
        };
        let home = if home.join("initdb").is_file() {
            home
        } else {
            folder
        };
        if home.join("initdb").is_file() && !unique.contains(&home) {
            unique.push(home);
        }
    }
    unique
}

/// The folders that match a pattern with at most one `*`, newest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(format!("{parent}/")) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?;
            Some((
                leading_number(version).unwrap_or(0),
                PathBuf::from(format!("{parent}/{name}{after}")),
            ))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn pg_config_folder() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// Asks the `postgres` in `folder` for its version; `None` when it cannot be run.
fn inspect(folder: &Path) -> Option<Installation> {
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let major = parse_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Installation {
        major,
        folder: folder.to_path_buf(),
    })
}

/// Major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `… 18beta1`.
fn parse_version(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(leading_number)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_every_vendor() {
        let cases = [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 9.6.24", Some(9)),
            ("postgres (EnterpriseDB) 16.1.0", Some(16)),
            ("command not found", None),
            ("", None),
        ];
        for (text, major) in cases {
            assert_eq!(parse_version(text), major, "{text}");
        }
    }

    #[test]
    fn expands_a_pattern_newest_first() {
        let parent = tempfile::tempdir().unwrap();
        for version in ["9.6", "14", "17"] {
            fs::create_dir_all(parent.path().join(version).join("bin")).unwrap();
        }

        let found = expand(&format!("{}/*/bin", parent.path().display()));

        let names: Vec<_> = found
            .iter()
            .map(|each| each.strip_prefix(parent.path()).unwrap())
            .collect();
        assert_eq!(
            names,
            [
                Path::new("17/bin"),
                Path::new("14/bin"),
                Path::new("9.6/bin")
            ]
        );
    }

    #[test]
    fn finds_the_installed_one() {
        let found = find().unwrap();

        assert!(found.iter().all(|each| each.major >= MINIMUM));
        assert!(found[0].postgres().is_file() && found[0].initdb().is_file());
    }
}
