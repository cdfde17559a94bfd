//! The binary itself: exit codes, signals, and what it prints.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod binary;
mod demo;
mod endpoints;
mod exit_codes;
mod following;
mod keys;
mod serve;
mod typed_views;
mod users;
mod webhooks;
