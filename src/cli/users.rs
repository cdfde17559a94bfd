use std::io::{self, BufRead as _};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};

use super::of_terminal;
use crate::config::Config;
use crate::ops::users::generate_password;
use crate::ops::{Ops, Role};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add somebody who may use the console, and print their password: now or never.
    Add {
        /// What they type to log in.
        name: String,
        /// What they may do.
        #[arg(long, value_enum, default_value_t = RoleName::Viewer)]
        role: RoleName,
        #[command(flatten)]
        password: Choice,
    },
    /// List them.
    List {
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Remove somebody; their sessions end at once.
    Remove {
        /// Their name.
        name: String,
    },
    /// Give somebody another password, and print it; their sessions end at once.
    Password {
        /// Their name.
        name: String,
        #[command(flatten)]
        password: Choice,
    },
}

#[derive(Debug, clap::Args)]
struct Choice {
    /// Take the password from the first line of stdin, instead of making one up.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Look.
    Viewer,
    /// Put things right: retry, cancel, pause, replay.
    Operator,
    /// Everything, also what cannot be undone.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Runs one of the verbs on users. The database must have been migrated.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let ops = of_terminal(config).await?;
    let mut out = io::stdout().lock();
    match args.command {
        Command::Add {
            name,
            role,
            password,
        } => {
            let chosen = password.choose()?;
            ops.add_user(&name, role.into(), chosen.clone()).await?;
            password.print(&chosen, &mut out)
        }
        Command::List { json } => list(&ops, json, &mut out).await,
        Command::Remove { name } => Ok(ops.remove_user(&name).await?),
        Command::Password { name, password } => {
            let chosen = password.choose()?;
            ops.set_password(&name, chosen.clone()).await?;
            password.print(&chosen, &mut out)
        }
    }
}

impl Choice {
    fn choose(&self) -> anyhow::Result<SecretString> {
        if !self.password_stdin {
            return Ok(generate_password());
        }
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .context("cannot read stdin")?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
    }

    /// Prints a password that was made up.
    fn print(&self, password: &SecretString, out: &mut impl io::Write) -> anyhow::Result<()> {
        if !self.password_stdin {
            writeln!(out, "{}", password.expose_secret())?;
        }
        Ok(())
    }
}

async fn list(ops: &Ops, is_json: bool, out: &mut impl io::Write) -> anyhow::Result<()> {
    let users = ops.users().await?;
    if is_json {
        let text = serde_json::to_string_pretty(&users).context("cannot write JSON")?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<30}  {:<8}  {:<20}  last login",
        "name", "role", "added"
    )?;
    for user in users {
        let shown =
            |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
        let last_login = user.last_login_at.map_or_else(|| "never".to_owned(), shown);
        let (name, role) = (user.name, user.role.as_str());
        writeln!(
            out,
            "{name:<30}  {role:<8}  {:<20}  {last_login}",
            shown(user.created_at)
        )?;
    }
    Ok(())
}
