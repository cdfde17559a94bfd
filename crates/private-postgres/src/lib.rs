#![doc = include_str!("../README.md")]

mod binaries;
mod cluster;
mod error;
mod folder;
mod options;
mod placement;
mod previous;
mod server;
mod system_user;
mod watchdog;

pub use error::Error;
pub use options::{Directory, Durability, Options};
pub use server::Server;
