//! The command line; see `syncline::cli`.

use std::process::ExitCode;

use clap::Parser as _;
use syncline::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
