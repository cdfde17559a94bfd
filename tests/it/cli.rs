//! The binary itself: exit codes, signals, and what it prints.

mod binary;
mod exit_codes;
mod keys;
mod serve;
