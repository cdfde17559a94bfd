//! Webhooks as Merge sends them: the signature, and a lenient reading of the body.

mod event;
#[cfg(test)]
mod fixtures;
mod signature;

pub use self::event::{AccountRef, Event, EventKind, ModelMark, ModelSyncStatus, Unparseable};
pub use self::signature::{HEADER, SignatureError, sign, verify};
