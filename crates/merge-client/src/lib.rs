#![doc = include_str!("../README.md")]

pub mod account;
pub mod catalogue;
mod client;
mod decode;
mod error;
mod integrations;
mod link;
mod token;
mod transport;
pub mod webhook;

pub use self::account::{Account, AccountDetails, Deletion, ListQuery, Page, Record, SyncStatus};
pub use self::catalogue::{Category, Model};
pub use self::client::{Exchange, MergeClient, Observer, Settings};
pub use self::error::Error;
pub use self::integrations::Integration;
pub use self::link::{Exchanged, LinkToken, LinkTokenRequest};
pub use self::token::AccountToken;
