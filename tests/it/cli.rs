//! The binary itself: exit codes, signals, and what it prints.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
pub(crate) mod binary;
mod dead;
mod deeds;
mod demo;
mod doctor;
mod endpoints;
mod exit_codes;
mod following;
mod jobs;
mod journeys;
mod keys;
mod manual;
mod queues;
mod schedules;
pub(crate) mod serve;
mod status;
mod typed_views;
mod users;
mod watch;
mod webhooks;
