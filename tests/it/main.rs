//! The whole service, in process: its API over a real database, a real queue, and the sandbox in Merge's place.

mod api;
mod cli;
mod console;
mod jobs;
mod signals;
mod support;
