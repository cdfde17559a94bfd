//! The sandbox as its users see it: over HTTP, and by its handle.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod faults;
mod limits;
mod link_page;
mod linking;
mod lists;
mod support;
mod syncs;
mod webhooks;
