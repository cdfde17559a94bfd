use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config;

/// A service is unavailable (`sysexits.h`).
const UNAVAILABLE: u8 = 69;
/// Internal software error.
const SOFTWARE: u8 = 70;
/// Something was found in an unconfigured or misconfigured state.
const CONFIG: u8 = 78;

/// Something that the command needs is not there, such as the database: starting again later may help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Prints a failure as one line on stderr, and tells the exit code.
pub(super) fn failure(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "error: {}", line(error));
    ExitCode::from(code(error))
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
        error if is_config(error) => CONFIG,
        error if is_unavailable(error) => UNAVAILABLE,
        _ => SOFTWARE,
    }
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
    fn the_line_joins_the_causes_once() {
        let error = Err::<(), _>(io::Error::other("line\nbreak"))
            .context("cannot read: line\nbreak")
            .context("cannot start")
            .unwrap_err();

        assert_eq!(line(&error), "cannot start: cannot read: line break");
    }
}
