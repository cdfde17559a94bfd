//! What shells and `man` know of the command line.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use clap_complete::Shell;

use super::exit::Missing;

/// The name that the binary has.
const NAME: &str = "syncline";

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Which shell's.
    shell: Known,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Of this command, such as `jobs bulk`; without it, of the whole.
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    into: Option<PathBuf>,
}

/// Writes a script for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), NAME, &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Writes a page, or all of them.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let mut all = super::command();
    if let Some(folder) = &args.into {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(all, folder))
            .with_context(|| format!("cannot write the pages into {}", folder.display()))?;
        return Ok(());
    }
    all.build();
    let mut command = all;
    for word in &args.command {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| Missing(format!("command `{}`", args.command.join(" "))))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(io::stdout().lock().write_all(&page)?)
}
