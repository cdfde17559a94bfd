//! What the tests of the whole service share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod answer;
pub(crate) mod app;
mod call;
mod examples;
mod fixtures;
mod inspect;
mod logs;
mod receiver;
mod routes;
pub(crate) mod visitor;

pub(crate) use answer::Answer;
pub(crate) use app::{NewKey, SANDBOX_KEY, TestApp, WEBHOOK_SECRET};
pub(crate) use call::Call;
pub(crate) use examples::webhook_examples;
pub(crate) use logs::Logs;
pub(crate) use receiver::Receiver;
