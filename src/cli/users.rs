use std::io::{self, BufRead as _};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::answer::{Answer, Form, Look};
use super::desk::{Desk, Sure};
use super::table::{Cell, Table};
use crate::config::Config;
use crate::ops::users::generate_password;
use crate::ops::words::stamp;
use crate::ops::{Deed, Ops, Role};

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
        #[command(flatten)]
        look: Look,
    },
    /// Remove somebody; their sessions end at once.
    Remove {
        /// Their name.
        name: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        form: Form,
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
    #[command(flatten)]
    form: Form,
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
    let desk = Desk::of(config).await?;
    let ops = &desk.ops;
    match args.command {
        Command::Add {
            name,
            role,
            password,
        } => {
            let chosen = password.choose()?;
            ops.add_user(&name, role.into(), chosen.clone()).await?;
            password.print(Deed::UserAdd, &name, &chosen)
        }
        Command::List { look } => look.show(async || list(ops).await).await,
        Command::Remove { name, sure, form } => {
            sure.ask(&format!("Remove {name}?"))?;
            ops.remove_user(&name).await?;
            form.print(&Answer::done(Deed::UserRemove, &name, json!({})))
        }
        Command::Password { name, password } => {
            let chosen = password.choose()?;
            ops.set_password(&name, chosen.clone()).await?;
            password.print(Deed::UserPassword, &name, &chosen)
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

    /// Prints a password that was made up: it alone, or in JSON.
    fn print(&self, deed: Deed, name: &str, password: &SecretString) -> anyhow::Result<()> {
        if self.password_stdin {
            return self.form.print(&Answer::done(deed, name, json!({})));
        }
        let more = json!({ "password": password.expose_secret() });
        let answer = Answer::done(deed, name, more);
        self.form.print(&answer.saying(password.expose_secret()))
    }
}

async fn list(ops: &Ops) -> anyhow::Result<Answer> {
    let users = ops.users().await?;
    let mut table = Table::new(&["name", "role", "added", "last login"]);
    for user in &users {
        table.row([
            Cell::from(&user.name),
            Cell::from(user.role.as_str()),
            Cell::from(stamp(user.created_at)),
            Cell::from(user.last_login_at.map_or_else(|| "never".to_owned(), stamp)),
        ]);
    }
    Answer::new(table.shown(), &users)
}
