use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::{config, ops};

/// A look found something wrong.
const UNWELL: u8 = 1;
/// What was asked for cannot be done or meant as things stand (this and those below: `sysexits.h`).
const REFUSED: u8 = 65;
/// There is no such thing.
const MISSING: u8 = 66;
/// A service is unavailable.
const UNAVAILABLE: u8 = 69;
/// Internal software error.
const SOFTWARE: u8 = 70;
/// Something was found in an unconfigured or misconfigured state.
const CONFIG: u8 = 78;

/// Postgres' code for it.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Something that the command needs is not there, such as the database: starting again later may help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What was looked at is not well, as the answer says.
#[derive(Debug, thiserror::Error)]
#[error("not all is well")]
pub(super) struct Unwell;

/// It was not done, and nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

/// There is no such thing.
#[derive(Debug, thiserror::Error)]
#[error("there is no {0}")]
pub(super) struct Missing(pub(super) String);

/// Prints a failure as one line on stderr, and tells the exit code.
pub(super) fn failure(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if !error.is::<Unwell>() {
        tell(error);
    }
    ExitCode::from(code(error))
}

/// Prints a failure as one line on stderr.
pub(super) fn tell(error: &anyhow::Error) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "error: {}", line(error));
}

/// The error and its causes, joined by colons, on one line; a cause that repeats what was said is left out.
fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            let _ = write!(line, ": {cause}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn code(error: &anyhow::Error) -> u8 {
    // An error given as context is found by `downcast_ref` only, a cause by walking the chain only.
    let is_config = |error: &anyhow::Error| {
        error.downcast_ref::<config::Error>().is_some()
            || error.chain().any(<dyn Error>::is::<config::Error>)
    };
    let is_unavailable = |error: &anyhow::Error| {
        error.downcast_ref::<Unavailable>().is_some()
            || error
                .chain()
                .any(<dyn Error>::is::<private_postgres::Error>)
    };
    match error {
        error if error.is::<Unwell>() => UNWELL,
        error if is_denied(error) => REFUSED,
        error if error.is::<Missing>() => MISSING,
        error if error.is::<Refused>() => REFUSED,
        error if is_config(error) => CONFIG,
        error if is_unavailable(error) => UNAVAILABLE,
        error => error.downcast_ref().map_or_else(
            || error.downcast_ref().map_or(SOFTWARE, code_of_queue),
            code_of_ops,
        ),
    }
}

fn code_of_ops(error: &ops::Error) -> u8 {
    match error {
        ops::Error::Missing(_) => MISSING,
        ops::Error::Refused(_) | ops::Error::Forbidden { .. } => REFUSED,
        ops::Error::Queue(error) => code_of_queue(error),
        ops::Error::Store(_) | ops::Error::Database(_) => SOFTWARE,
    }
}

fn code_of_queue(error: &queue::Error) -> u8 {
    use queue::Error::{
        InvalidName, InvalidRequest, NoSuchJob, Refused, Schedule, UnknownSchedule,
    };
    match error {
        NoSuchJob { .. } | UnknownSchedule { .. } => MISSING,
        Refused { .. } | InvalidName { .. } | InvalidRequest { .. } | Schedule { .. } => REFUSED,
        _ => SOFTWARE,
    }
}

/// Whether the role that we came to the database with may not do this, such as that of somebody who only looks.
fn is_denied(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref());
    let mut codes = causes.filter_map(|error: &sqlx::Error| error.as_database_error()?.code());
    codes.any(|code| code == INSUFFICIENT_PRIVILEGE)
}

/// Whether the reader of our output went away, as `head` does: no failure of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_code_tells_settings_from_surroundings() {
        let config = config::Error {
            key: "a.b".to_owned(),
            origin: "default".to_owned(),
            reason: "bad".to_owned(),
        };
        let unavailable = anyhow!("refused").context(Unavailable("no database".to_owned()));

        assert_eq!(code(&anyhow!(config).context("cannot serve")), 78);
        assert_eq!(code(&unavailable.context("cannot serve")), 69);
        assert_eq!(
            code(&anyhow!(private_postgres::Error::NoUnprivilegedUser)),
            69
        );
        assert_eq!(code(&anyhow!("other")), 70);
    }

    #[test]
    fn the_code_tells_what_is_not_there_from_what_cannot_be_done() {
        let id = queue::JobId(uuid::Uuid::nil());
        let missing = queue::Error::NoSuchJob { id };
        let invalid = queue::Error::InvalidRequest {
            what: "edit",
            reason: "it changes nothing".to_owned(),
        };

        assert_eq!(code(&anyhow!(Unwell)), 1);
        assert_eq!(code(&anyhow!(Refused("no".to_owned()))), 65);
        assert_eq!(code(&anyhow!(ops::Error::Refused(phrases::say!("no")))), 65);
        assert_eq!(code(&anyhow!(invalid)), 65);
        assert_eq!(code(&anyhow!(Missing("key".to_owned()))), 66);
        assert_eq!(code(&anyhow!(ops::Error::Missing("user"))), 66);
        assert_eq!(code(&anyhow!(ops::Error::Queue(missing))), 66);
    }

    #[test]
    fn the_line_joins_the_causes_once() {
        let error = Err::<(), _>(io::Error::other("line\nbreak"))
            .context("cannot read: line\nbreak")
            .context("cannot start")
            .unwrap_err();

        assert_eq!(line(&error), "cannot start: cannot read: line break");
    }
}
