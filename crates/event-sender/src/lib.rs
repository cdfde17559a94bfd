#![doc = include_str!("../README.md")]

mod address;
mod error;
mod resolver;
mod retry_after;
mod secret;
mod sender;
mod target;

pub use error::{Refusal, SendError, SetupError};
pub use secret::Secret;
pub use sender::{EventSender, Message, Settings};
