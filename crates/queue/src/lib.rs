#![doc = include_str!("../README.md")]

pub mod admin;
pub mod attempt;
pub mod backend;
pub mod client;
pub mod counts;
pub mod enqueue;
pub mod error;
pub mod error_budget;
pub mod ids;
pub mod job;
pub mod lanes;
pub mod limiter;
pub mod maintenance;
pub mod pause;
mod perform;
mod place;
pub mod registry;
pub mod retry;
pub mod schedule;
mod session;
pub mod testing;
pub mod view;
pub mod worker;
pub mod workers;

pub use attempt::{Attempt, FencedTx};
pub use client::Client;
pub use enqueue::{Enqueued, NewJob, Parent, enqueue, enqueue_many};
pub use error::{Error, Throttled};
pub use error_budget::{ErrorBudget, Permit};
pub use ids::{JobId, Lane, Queue, WorkerId};
pub use job::{Failure, Job, UniqueWhile};
pub use perform::perform;
pub use registry::Registry;
pub use retry::RetryPolicy;
pub use schedule::ScheduleSpec;
pub use view::{AttemptView, JobDetail, JobState, JobView};
