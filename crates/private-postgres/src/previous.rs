//! The server before ours on the same folder: gone, going, or left behind.
//!
//! A pid is never trusted by itself, since it may be another process's by now: a process counts as the postmaster of
//! a folder only when its working folder (or, without `/proc`, its command line) says so, and only such a one is signalled.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Error;
use crate::folder::{Folder, try_lock};
use crate::watchdog::{self, TICK};

/// How long a watchdog whose owner died may take to stop its server; it insists after 60 s.
const FAREWELL: Duration = Duration::from_secs(75);

/// How long a server without a watchdog may take to stop.
const ORPHANS_FAREWELL: Duration = Duration::from_secs(30);

/// Waits until the server that a dead owner left behind has ended and `lock` is ours.
///
/// Usually its watchdog is stopping it at this moment. If the watchdog was killed too, we stop it.
pub(crate) fn outlast(folder: &Path, lock: &File) -> Result<(), Error> {
    let data = folder.join("data");
    let begun = Instant::now();
    let mut told_at = None;
    while !try_lock(lock, folder)? {
        let server = verified(&data);
        match told_at {
            None if server.is_some_and(is_orphan) || begun.elapsed() > FAREWELL => {
                server.inspect(|pid| stop(*pid));
                told_at = Some(Instant::now());
            }
            Some(at) if at.elapsed() > ORPHANS_FAREWELL => {
                let pid = recorded(&data).map_or(0, |pid| pid.as_raw().unsigned_abs());
                return Err(Error::InUse {
                    folder: folder.to_path_buf(),
                    pid,
                });
            }
            _ => {}
        }
        sleep(TICK);
    }
    Ok(())
}

/// Stops the server on `data` after its watchdog was killed, and waits.
pub(crate) fn stop_orphan(data: &Path) {
    let Some(server) = verified(data) else { return };
    stop(server);
    let begun = Instant::now();
    while is_alive(server) && begun.elapsed() < ORPHANS_FAREWELL {
        sleep(TICK);
    }
}

/// Removes a pid file that no longer means anything. Call with `server.lock` held: then no server of ours lives.
///
/// Postgres removes such a file itself, but for one case: the pid now belongs to another process of the same user.
pub(crate) fn remove_stale_pid_file(folder: &Folder) -> Result<(), Error> {
    let data = folder.data();
    let Some(pid) = recorded(&data) else {
        return Ok(());
    };
    if let Some(by_hand) = verified(&data) {
        return Err(Error::InUse {
            folder: data,
            pid: by_hand.as_raw().unsigned_abs(),
        });
    }
    tracing::info!(%pid, "removing the pid file of a server that is gone");
    let file = data.join("postmaster.pid");
    fs::remove_file(&file).map_err(|source| Error::file("remove", &file, source))
}

fn stop(server: Pid) {
    tracing::warn!(pid = %server, "stopping a Postgres server that lost its watchdog");
    // If it has just ended, all the better.
    let _ = kill(server, Signal::SIGINT);
}

/// The pid in the pid file, whoever that is by now.
fn recorded(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    (pid > 1).then(|| Pid::from_raw(pid))
}

/// The same, if that process lives and is indeed Postgres on this very folder.
fn verified(data: &Path) -> Option<Pid> {
    let pid = recorded(data)?;
    if !is_alive(pid) {
        return None;
    }
    let is_ours = match fs::read_link(format!("/proc/{pid}/cwd")) {
        // A postmaster's working folder is its data folder.
        Ok(folder) => fs::canonicalize(data).is_ok_and(|data| data == folder),
        Err(_) => command_line(pid).is_some_and(|line| {
            line.contains("postgres") && line.contains(&*data.to_string_lossy())
        }),
    };
    is_ours.then_some(pid)
}

/// Whether a server's parent is no longer a watchdog. `false` when that cannot be found out.
fn is_orphan(server: Pid) -> bool {
    let line = parent(server).and_then(command_line);
    line.is_some_and(|line| !line.contains(watchdog::NAME))
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// From `/proc`, or from `ps`: neither is everywhere.
fn parent(pid: Pid) -> Option<Pid> {
    let text = match fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:").map(str::to_owned)),
        Err(_) => ask_ps("ppid=", pid),
    };
    text?.trim().parse().ok().map(Pid::from_raw)
}

fn command_line(pid: Pid) -> Option<String> {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => Some(String::from_utf8_lossy(&line).replace('\0', " ")),
        Err(_) => ask_ps("args=", pid),
    }
}

/// One field of one process.
fn ask_ps(field: &str, pid: Pid) -> Option<String> {
    let mut command = Command::new("ps");
    command.args(["-ww", "-o", field, "-p", &pid.to_string()]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout)
        .ok()
        .filter(|text| !text.trim().is_empty())
}
