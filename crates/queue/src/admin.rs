//! What people do with jobs: look for them, bring them back, stop them, remove them.
//!
//! Everything that changes a job works in the caller's transaction, so that an entry in an audit log is
//! written with it or not at all. After the commit call [`crate::Client::wake`].
//!
//! # Locks
//! The order is that of `enqueue.sql`: unique keys, then jobs, then lanes. A lane that somebody owns is
//! only locked, never written: its owner reads the jobs when it lets go, and that waits for us. A lane
//! that nobody owns gets the earlier `due_at`. So whatever comes first, the job's new time is seen.
//!
//! Taking a waiting job away does not look at the lane at all: a lane that is due too early costs one
//! look, one that is due too late would cost the job.

mod act;
mod bulk;
pub mod bulk_actions;
mod filter;
pub mod groups;
mod list;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use act::write::cancel_waiting;
pub use act::{Cancelled, Edit, Request, cancel, delete, edit, retry, retry_now};
pub use bulk::{Action, Bulk, Confirmation, MAX_BATCH, Progress};
pub use filter::{Filter, TimeRange};
pub use list::{JobSummary, MAX_PAGE, Page, list};
