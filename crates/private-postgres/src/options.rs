//! What a caller may choose.

use std::path::PathBuf;

/// How a [`Server`](crate::Server) is set up; `Options::default()` is durable and temporary.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the data lives, and whether it outlives the server.
    pub data: Directory,
    /// Whether a commit survives a power failure.
    pub durability: Durability,
    /// Further Postgres settings, `("log_statement", "all")`; they win over the built-in ones.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A server for the length of a test: nothing is kept, nothing is synced to disk.
    pub fn throwaway() -> Self {
        Self {
            data: Directory::Temporary,
            durability: Durability::Fast,
            settings: Vec::new(),
        }
    }

    /// A durable server whose data stays in `folder` between starts.
    pub fn kept(folder: impl Into<PathBuf>) -> Self {
        Self {
            data: Directory::Kept(folder.into()),
            ..Self::default()
        }
    }
}

/// Where the data lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Directory {
    /// A new folder below the system's temporary one, removed when the server stops or its owner dies.
    #[default]
    Temporary,
    /// This folder, made if need be and kept. Holds `data/`, `socket/`, `password`, `postgres.log` and two locks.
    Kept(PathBuf),
}

/// Whether a commit survives a power failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `fsync`, `full_page_writes` and `synchronous_commit` on, as in production.
    #[default]
    Durable,
    /// All three off: several times faster, and a crash of the *machine* may corrupt the data.
    Fast,
}
