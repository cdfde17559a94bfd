//! The HTTP API, route by route.

mod bad_input;
mod events;
mod idempotency;
mod keys;
mod linking;
mod reading;
mod webhooks;
