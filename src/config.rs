//! The settings: what they are, where they come from, and whether they can work.
//!
//! Layers, later over earlier: `config/default.toml` (compiled in; it is the reference of every key), the file named by
//! `--config`, the environment, flags. This module is the only one that reads the environment. Whatever is wrong becomes
//! one [`Error`] that names the key, where its value came from, and what to do; never the value of a secret.

mod console;
mod database;
mod encryption;
mod endpoints;
mod environment;
mod error;
mod form;
mod http;
mod layers;
mod merge;
mod queue;
mod sync;
mod telemetry;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub use self::console::Console;
pub use self::database::Database;
pub use self::encryption::Encryption;
pub use self::endpoints::Endpoints;
pub use self::environment::Environment;
pub use self::error::Error;
pub use self::http::Http;
pub use self::layers::Sources;
pub use self::merge::Merge;
pub use self::queue::{Queue, Slots};
pub use self::sync::Sync;
pub use self::telemetry::{LogFormat, Telemetry};

/// All settings, valid as far as this process can tell. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Postgres.
    pub database: Database,
    /// What we listen on, and what we accept.
    pub http: Http,
    /// The console.
    pub console: Console,
    /// Merge's API and its webhooks.
    pub merge: Merge,
    /// The worker.
    pub queue: Queue,
    /// Windows and polls.
    pub sync: Sync,
    /// Where events are sent to.
    pub endpoints: Endpoints,
    /// Secrets at rest.
    pub encryption: Encryption,
    /// Logs.
    pub telemetry: Telemetry,
}

/// For which settings a command cannot do without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Only the database, as for migrating it.
    Database,
    /// All that the service needs.
    Service,
}

impl Config {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// The first fault found: an unknown key, a file that cannot be read, a value of the wrong form, a value that cannot
    /// work, a required one that is missing.
    pub fn load(sources: &Sources, need: Need) -> Result<Self, Error> {
        let layers = sources.layers()?;
        let config: Self = layers.deserialize()?;
        config.check(need).map_err(|fault| layers.blame(fault))?;
        Ok(config)
    }

    /// What is allowed but probably not meant, each in one line.
    pub fn warnings(&self) -> Vec<String> {
        self.merge.warnings()
    }

    fn check(&self, need: Need) -> Result<(), Fault> {
        self.database.check()?;
        self.http.check()?;
        self.console.check()?;
        self.merge.check(need)?;
        self.queue.check()?;
        self.sync.check()?;
        self.endpoints.check()?;
        self.encryption.check(need)?;
        self.telemetry.check()
    }
}

/// What is wrong with the value of one key.
#[derive(Debug)]
struct Fault {
    key: &'static str,
    reason: String,
}

impl Fault {
    /// A fault, unless the value is fine.
    fn unless(is_fine: bool, key: &'static str, reason: &str) -> Result<(), Self> {
        if is_fine {
            Ok(())
        } else {
            Err(Self {
                key,
                reason: reason.to_owned(),
            })
        }
    }
}
