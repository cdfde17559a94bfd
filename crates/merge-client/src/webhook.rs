//! Webhooks as Merge sends them: the signature, and a lenient reading of the body.

#[cfg(test)]
mod fixtures;
mod signature;

pub use self::signature::{HEADER, SignatureError, sign, verify};
