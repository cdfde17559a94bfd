//! The service behind the binary; a library so that `tests/it` can build it in process.

mod announcer;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod console;
pub mod database;
pub mod inbox;
mod mapping;
pub mod ops;
pub mod scheduler;
pub mod telemetry;
mod typed_views;
pub mod webhook_secrets;
pub mod worker;
