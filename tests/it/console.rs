//! The console, over HTTP as a browser uses it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod access_pages;
mod attempts;
mod bulk;
mod canaries;
mod finding;
mod forms;
mod hostile;
mod pages;
mod pausing;
mod proxy;
mod roles;
mod times;
