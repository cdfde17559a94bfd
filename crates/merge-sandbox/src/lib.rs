#![doc = include_str!("../README.md")]
#![expect(
    clippy::disallowed_types,
    reason = "refuses as Merge does, not with our problem bodies"
)]

mod account;
mod clock;
mod control;
mod cursor;
mod dice;
mod faults;
mod generator;
mod handle;
mod integrations;
mod limits;
mod link_page;
mod links;
mod listener;
mod options;
mod records;
mod routes;
mod sandbox;
mod truth;
mod views;
mod webhooks;
mod world;

pub use self::account::PlanError;
pub use self::clock::ClockMode;
pub use self::control::{ClientError, ControlClient};
pub use self::faults::{Fault, FaultKind};
pub use self::handle::{CompleteLink, ControlError, Handle, LinkAccount};
pub use self::options::{
    AccountPlan, AnswerOptions, ModelIds, Options, Outcome, Schedule, SyncedShape, WebhookOptions,
    WebhookTarget,
};
pub use self::sandbox::{Running, Sandbox, StartError};
pub use self::truth::digest;
pub use self::views::{
    AccountView, CompletedLink, Fields, LinkedAccount, ModelTruth, ModelView, StateView, TruthPage,
    TruthRecord,
};
pub use self::webhooks::{AttemptView, DeliveryState, DeliveryView, WebhookFaults, WebhookSummary};
pub use self::world::LinkError;

/// A client for plain HTTP on this machine: no proxy, no redirects.
///
/// reqwest wants a TLS provider even for addresses without TLS; the first to install one wins, and any will do.
fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    let _is_first = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
}
