//! The HTTP API, route by route.

mod bad_input;
mod conformance;
mod docs;
mod document;
mod endpoints;
mod events;
mod idempotency;
mod isolation;
mod keys;
mod linking;
mod operating;
mod reading;
mod slow_senders;
mod webhooks;
