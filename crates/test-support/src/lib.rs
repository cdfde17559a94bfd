#![doc = include_str!("../README.md")]

mod database;
mod pooler;
mod python;
mod server;
mod source;
mod sql;
mod template;

pub use database::TestDatabase;
pub use pooler::TestPooler;
pub use python::Python;
pub use server::TestServer;
pub use template::migrate;
