//! What processes used, from `/proc` (Linux).

use std::fs;

use anyhow::{Context as _, Result};

/// In the units of `/proc`: the kernel shows a hundredth of a second, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// By this process.
    pub(crate) client: f64,
    /// By Postgres: its backends, those that ended included, and its own workers.
    pub(crate) postgres: f64,
}

impl Used {
    /// Reads both.
    pub(crate) fn now(postmaster: u32) -> Result<Self> {
        let own = Stat::of(std::process::id())?;
        Ok(Self {
            client: own.seconds,
            postgres: postgres(postmaster)?,
        })
    }

    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            client: self.client - before.client,
            postgres: self.postgres - before.postgres,
        }
    }
}

/// Seconds of processor time that a process has used.
pub(crate) fn seconds(pid: u32) -> Result<f64> {
    Ok(Stat::of(pid)?.seconds)
}

/// Bytes of memory that a process has in use (resident).
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most that a process ever had in use.
pub(crate) fn peak_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("cannot understand {path}"))? * 1024)
}

/// The postmaster, its children, and those it has buried.
fn postgres(postmaster: u32) -> Result<f64> {
    let root = Stat::of(postmaster)?;
    let mut seconds = root.seconds + root.seconds_of_ended_children;
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let name = entry.context("cannot list processes")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may end while we look.
        if let Ok(stat) = Stat::of(pid)
            && stat.parent == postmaster
        {
            seconds += stat.seconds;
        }
    }
    Ok(seconds)
}

/// What `/proc/<pid>/stat` says, as far as we need it.
struct Stat {
    parent: u32,
    seconds: f64,
    seconds_of_ended_children: f64,
}

impl Stat {
    fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&text).with_context(|| format!("cannot understand {path}"))
    }

    /// The name in parentheses may hold anything, so fields are counted from its end.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            seconds_of_ended_children: (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_with_spaces_and_parentheses() {
        let text = "42 (a (b) c) S 7 1 1 0 -1 0 0 0 0 0 150 50 30 20 20 0 1 0 5";

        let stat = Stat::parse(text).unwrap();

        assert_eq!(stat.parent, 7);
        assert!((stat.seconds - 2.0).abs() < 1e-9);
        assert!((stat.seconds_of_ended_children - 0.5).abs() < 1e-9);
    }
}
