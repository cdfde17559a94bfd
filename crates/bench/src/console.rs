//! What the benchmark of the console is made of: rows to look at, the console in a process of its own, a visitor.

pub(crate) mod fill;
pub(crate) mod pages;
pub(crate) mod server;
pub(crate) mod visitor;
