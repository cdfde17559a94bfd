//! The client against small servers that answer well, badly, or not at all.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "its servers end with the test")]

mod calls;
mod corpus;
mod hostile;
mod observed;
mod secrets;
mod server;
