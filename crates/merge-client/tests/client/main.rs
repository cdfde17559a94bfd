//! The client against small servers that answer well, badly, or not at all.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod hostile;
mod secrets;
mod server;
