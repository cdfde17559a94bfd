//! A worker of its own process, which is made to stand still.

use std::process::Stdio;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use queue::WorkerId;
use tokio::process::{Child, Command};

/// Its process stands still until this is dropped; then it is killed.
pub(super) struct Frozen {
    /// What it registered as.
    pub(super) worker: WorkerId,
    _child: Child,
}

/// Starts a worker with these settings, as `serve --role worker`.
pub(super) fn start(settings: &[(&'static str, String)]) -> Result<Child> {
    let binary = std::env::current_exe().context("cannot tell where the binary is")?;
    let mut command = Command::new(binary);
    command
        .args(["serve", "--role", "worker"])
        .envs(settings.iter().map(|(key, value)| (*key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().context("cannot start a second worker")
}

impl Frozen {
    /// Stops the process as a debugger would, without a word.
    pub(super) fn stop(child: Child, worker: WorkerId) -> Result<Self> {
        let id = child.id().context("the second worker ended by itself")?;
        let id = i32::try_from(id).context("a process id is too large")?;
        kill(Pid::from_raw(id), Signal::SIGSTOP).context("cannot stop the second worker")?;
        Ok(Self {
            worker,
            _child: child,
        })
    }
}
