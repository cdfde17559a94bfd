//! A small shell that is the parent of Postgres and outlives us by as much as stopping takes.
//!
//! Code of our own cannot run after `kill -9`, so something else must notice that we are gone. The kernel closes our
//! end of a pipe however we end; the watchdog reads the other end. On end of file it stops its child (and removes
//! temporary folders), whether we asked for it, crashed, or were killed. It has a process group of its own, so Ctrl-C
//! in the terminal reaches us alone, and we decide when the server goes.
//!
//! Why `/bin/sh`: a library cannot re-execute its host program, `PR_SET_PDEATHSIG` needs `unsafe` and is Linux only, and the
//! shell is everywhere that Postgres is.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::Error;
use crate::folder::Folder;

/// The variables that a server keeps: no secret of ours must show in the environment of another user's process.
const KEPT_VARIABLES: [&str; 4] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
];

/// Name of the shell in the list of processes.
pub(crate) const NAME: &str = "private-postgres-watchdog";

/// How often a condition is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// A running command that ends with us.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

/// How the command is asked to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Roll back what is open, write everything out, keep all folders.
    Fast,
    /// At once, as in a crash; the next start recovers. Keeps all folders.
    Immediate,
    /// For good: temporary data at once and with its folders, kept data by `Fast`.
    Forever,
}

impl Watchdog {
    /// Starts `program` with its output in the folder's log.
    pub(crate) fn start(
        folder: &Folder,
        program: &Path,
        arguments: &[OsString],
        begin_log_anew: bool,
    ) -> Result<Self, Error> {
        let lock = folder
            .server_lock()
            .map_err(|source| Error::file("share the lock in", folder.path(), source))?;
        let log = folder.open_log(begin_log_anew)?;

        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script()).arg(NAME);
        if folder.is_temporary() {
            shell.arg("QUIT").arg(folder.path());
        } else {
            shell.arg("INT").arg("");
        }
        let is_apart = !folder.socket().starts_with(folder.path());
        shell.arg(if is_apart {
            folder.socket()
        } else {
            Path::new("")
        });
        shell.arg(program).args(arguments);
        shell.stdin(Stdio::piped()).stdout(lock).stderr(log);
        shell.current_dir("/").process_group(0);
        shell.env_clear().env("LC_ALL", "C").envs(kept_variables());
        folder.user().apply(&mut shell);
        let shell = shell.spawn().map_err(|source| Error::Program {
            program: "/bin/sh".into(),
            source,
        })?;
        Ok(Self { shell })
    }

    /// Asks the command to end; returns at once.
    pub(crate) fn ask(&mut self, how: Stop) {
        let word = match how {
            Stop::Fast => "fast\n",
            Stop::Immediate => "immediate\n",
            Stop::Forever => {
                self.shell.stdin = None;
                return;
            }
        };
        if let Some(pipe) = &mut self.shell.stdin {
            // A broken pipe means that the command has ended already.
            let _ = pipe.write_all(word.as_bytes());
        }
    }

    /// The shell's own pid.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// The status of the command when it has ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.try_wait()
    }

    /// Waits for the end of the command; `None` when it takes longer.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            // Not `Child::wait`: that would close the pipe first, which is an order to stop.
            let status = self.shell.try_wait()?;
            if status.is_some() || begun.elapsed() > at_most {
                return Ok(status);
            }
            sleep(TICK);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program is found by `PATH`")]
fn kept_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    KEPT_VARIABLES
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)))
}

/// The script without its comments, which would only fill the list of processes.
fn script() -> String {
    let lines = include_str!("watchdog.sh").lines();
    lines
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}
