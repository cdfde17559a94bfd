#![doc = include_str!("../README.md")]

pub mod activity;
pub mod api_keys;
pub mod audit;
pub mod clock;
mod error;
pub mod events;
pub mod exchanges;
pub mod fetch_windows;
pub mod idempotency_keys;
mod ids;
pub mod integrations;
mod json;
mod keyring;
pub mod linked_accounts;
mod migrate;
pub mod model_records;
pub mod model_syncs;
pub mod sealed_link_tokens;
pub mod server;
pub mod sessions;
pub mod tenant;
pub mod typed_views;
pub mod users;
pub mod webhook_deliveries;
pub mod webhook_endpoints;

pub use error::Error;
pub use ids::{AccountId, ApiKeyId, DeliveryId, EndpointId, UserId, WindowId};
pub use json::storable_json;
pub use keyring::{Aad, Keyring, KeyringError, Sealed};
pub use migrate::{migrate, missing_migrations};

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
