//! Who is measured: our queue, SQL written by hand, and the peers.

pub(crate) mod by_hand;
pub(crate) mod ours;
pub(crate) mod river;
pub(crate) mod stock;

use std::time::Duration;

use anyhow::Result;

use crate::ledger::Payload;
use crate::server::{Database, Server};

/// How long anything may take before a round has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Jobs of one enqueueing statement while a table is filled.
const LOAD_BATCH: usize = 1_000;

/// One queue, or what a queue could do at most, with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Ours(ours::Profile),
    ByHand(by_hand::Settings),
    Stock(stock::Settings),
    River(river::Settings),
}

impl Contender {
    /// Whose, without settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours(_) => "ours",
            Self::ByHand(_) => "by hand",
            Self::Stock(_) => "apalis-postgres",
            Self::River(_) => "riverqueue",
        }
    }

    /// The settings, for the report.
    pub(crate) fn settings(self) -> String {
        match self {
            Self::Ours(profile) => profile.to_string(),
            Self::ByHand(settings) => settings.to_string(),
            Self::Stock(settings) => settings.to_string(),
            Self::River(settings) => settings.to_string(),
        }
    }

    /// Adds jobs that are due at once.
    pub(crate) async fn load(self, database: &Database, jobs: &[Payload]) -> Result<()> {
        match self {
            Self::Ours(_) => ours::load(database, jobs).await,
            Self::ByHand(_) => by_hand::load(database, jobs).await,
            Self::Stock(_) => stock::load(database, jobs).await,
            Self::River(_) => river::load(database, jobs).await,
        }
    }

    /// Runs all jobs, and answers the time from the start of the worker until the last completion is
    /// committed. Fails unless each ran and was completed exactly once.
    pub(crate) async fn drain(self, database: &Database, jobs: u64) -> Result<Duration> {
        match self {
            Self::Ours(profile) => ours::drain(database, jobs, profile).await,
            Self::ByHand(settings) => by_hand::drain(database, jobs, settings).await,
            Self::Stock(settings) => stock::drain(database, jobs, settings).await,
            Self::River(settings) => river::drain(database, jobs, settings).await,
        }
    }
}

/// Databases with each contender's tables and no rows, to be copied.
pub(crate) struct Templates {
    pub(crate) ours: Database,
    by_hand: Database,
    stock: Database,
    river: Database,
}

impl Templates {
    pub(crate) async fn make(server: &Server) -> Result<Self> {
        let templates = Self {
            ours: server.empty().await?,
            by_hand: server.empty().await?,
            stock: server.empty().await?,
            river: server.empty().await?,
        };
        test_support::migrate(&templates.ours.url()).await?;
        templates.by_hand.execute(by_hand::TABLES).await?;
        stock::set_up(&templates.stock).await?;
        river::set_up(&templates.river).await?;
        Ok(templates)
    }

    pub(crate) fn of(&self, contender: Contender) -> &Database {
        match contender {
            Contender::Ours(_) => &self.ours,
            Contender::ByHand(_) => &self.by_hand,
            Contender::Stock(_) => &self.stock,
            Contender::River(_) => &self.river,
        }
    }
}
