//! Python programs that check what we made, with the packages that they need.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// An interpreter that has certain packages.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// The interpreter that `SYNCLINE_<NAME>_PYTHON` names; without it, that of a virtual environment below the target
    /// folder, which is made once for what the file `requirements` pins.
    ///
    /// `tmpdir` is the test's `CARGO_TARGET_TMPDIR`. `None`: it cannot be had, and the test is to be skipped, which was
    /// said past the capture of test output.
    ///
    /// # Panics
    /// When it cannot be had and `CI` is set.
    pub fn with(name: &str, requirements: &Path, tmpdir: &str) -> Option<Self> {
        let named = variable(&format!("SYNCLINE_{}_PYTHON", name.to_uppercase()));
        let program = match named {
            Some(program) => Ok(PathBuf::from(program)),
            None => environment(name, requirements, tmpdir),
        };
        match program {
            Ok(program) => Some(Self { program }),
            Err(why) if variable("CI").is_some() => panic!("`{name}` cannot be tried: {why}"),
            Err(why) => {
                let text = format!("SKIPPED: `{name}` was not tried: {why}\n");
                // A test's stderr cannot be closed; and if it is, nobody would read why.
                let _ = io::stderr().write_all(text.as_bytes());
                None
            }
        }
    }

    /// Runs with these arguments to the end, with `input` on its stdin; gives what it wrote.
    ///
    /// # Errors
    /// What it wrote when it ended with another code than 0, or why it cannot be run.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String, String> {
        let output = run(Command::new(&self.program).args(arguments), input)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn environment(name: &str, requirements: &Path, tmpdir: &str) -> Result<PathBuf, String> {
    let target = Path::new(tmpdir)
        .parent()
        .expect("it lies in the target folder");
    let environment = target.join(format!("{name}-venv"));
    let python = environment.join("bin/python");
    let wanted = fs::read_to_string(requirements).map_err(|error| error.to_string())?;
    // Written last, so that a broken installation is tried again.
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment),
        "",
    )?;
    let mut install = Command::new(&python);
    let install = install.args(["-m", "pip", "install", "--quiet", "-r"]);
    run(install.arg(requirements), "")?;
    fs::write(&installed, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command, input: &str) -> Result<Output, String> {
    let output = feed(command, input).map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(format!(
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&text)
    ))
}

fn feed(command: &mut Command, input: &str) -> io::Result<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    child.wait_with_output()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switches, no setting of the service"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
