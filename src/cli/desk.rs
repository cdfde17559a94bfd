//! Where the verbs work: at the service, in the hands of whoever sits at this machine.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::exit::Refused;
use crate::config::Config;
use crate::database;
use crate::ops::{Actor, Ops, Role};

/// Longest time from now that can be asked for.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// The service; who may run us with its database may do everything.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) pool: PgPool,
    pub(super) queue: queue::Client,
    pub(super) ops: Ops,
}

impl Desk {
    /// Sits down. The database must have been migrated.
    pub(super) async fn of(config: &Config) -> anyhow::Result<Self> {
        let pool = database::connect(&config.database).await?;
        let queue = queue::Client::listening(pool.clone(), database::listen(&config.database)?);
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        let name = user
            .ok()
            .flatten()
            .map_or_else(|| "unknown".to_owned(), |user| user.name);
        let actor = Actor {
            name: format!("command line ({name})"),
            role: Role::Admin,
        };
        let ops = Ops::new(pool.clone(), queue.clone(), actor);
        Ok(Self { pool, queue, ops })
    }

    /// The database's clock.
    pub(super) async fn now(&self) -> anyhow::Result<DateTime<Utc>> {
        let mut conn = self.pool.acquire().await?;
        Ok(store::clock::now(&mut conn).await?)
    }

    /// So much later than now.
    pub(super) async fn after(
        &self,
        span: Option<TimeDelta>,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        match span {
            Some(span) => Ok(Some(self.now().await? + span)),
            None => Ok(None),
        }
    }
}

/// A span of time, such as 30m.
pub(super) fn span(text: &str) -> Result<TimeDelta, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let span = TimeDelta::from_std(span)
        .ok()
        .filter(|span| *span <= LONGEST);
    span.ok_or_else(|| "expected 366 days at most".to_owned())
}

/// What shows that somebody means it.
#[derive(Debug, clap::Args)]
pub(super) struct Sure {
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long)]
    pub(super) yes: bool,
}

impl Sure {
    /// Asks, unless that was answered.
    pub(super) fn ask(&self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let Some(answer) = ask(&format!("{question} [y/N]"))? else {
            let advice = format!("{question} Nobody is here to be asked: say --yes if it is meant");
            return Err(Refused(advice).into());
        };
        if matches!(answer.as_str(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Refused("nothing was done".to_owned()).into())
    }
}

/// What somebody at the terminal answers; `None` when nobody is there.
pub(super) fn ask(question: &str) -> anyhow::Result<Option<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr().lock();
    write!(err, "{question} ")?;
    err.flush()?;
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .context("cannot read stdin")?;
    Ok(Some(line.trim().to_owned()))
}
