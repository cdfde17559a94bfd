#![doc = include_str!("../README.md")]

mod database;
mod server;
mod source;
mod sql;
mod template;

pub use database::TestDatabase;
pub use server::TestServer;
pub use template::migrate;
