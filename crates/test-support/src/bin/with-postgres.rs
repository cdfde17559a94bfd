//! Runs a command with `DATABASE_URL` pointing at a private Postgres: `with-postgres [--migrated] -- COMMAND …`.
//!
//! The server is new, not synced to disk, and gone when the command ends. The exit code is the command's; 64 for wrong
//! arguments, 69 when the server cannot be had, 127 when the command cannot be run.

use std::env;
use std::ffi::OsString;
use std::io::{Write, stderr};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use anyhow::Result;
use private_postgres::{Options, Server};

/// The database of the server that commands use.
const DATABASE: &str = "postgres";

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let is_migrated = arguments.first().is_some_and(|first| first == "--migrated");
    if is_migrated {
        arguments.remove(0);
    }
    if arguments.first().is_some_and(|first| first == "--") {
        arguments.remove(0);
    }
    let Some((program, arguments)) = arguments.split_first() else {
        return fail(64, "usage: with-postgres [--migrated] -- COMMAND …");
    };
    let server = match start(is_migrated) {
        Ok(server) => server,
        Err(error) => return fail(69, &format!("{error:#}")),
    };
    let status = Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", server.url(DATABASE))
        .status();
    match status {
        Ok(status) => {
            let code = status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(error) => fail(127, &format!("cannot run {}: {error}", program.display())),
    }
}

fn start(is_migrated: bool) -> Result<Server> {
    let server = Server::start(Options::throwaway())?;
    if is_migrated {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test_support::migrate(&server.url(DATABASE)))?;
    }
    Ok(server)
}

fn fail(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(stderr(), "with-postgres: {message}");
    ExitCode::from(code)
}
