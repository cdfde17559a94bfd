//! The suites, one for each subcommand.

pub(crate) mod queue;
