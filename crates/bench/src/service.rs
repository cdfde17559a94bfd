//! The service as it is run, with settings for a benchmark.

use anyhow::Result;
use syncline::app::App;
use syncline::config::{Config, Environment, Need, Sources};
use syncline::telemetry;

/// What account tokens and webhooks are sealed with.
pub(crate) const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// With a database, and variables as in its environment; the others are at their defaults.
pub(crate) async fn app(database_url: &str, variables: &[(&str, &str)]) -> Result<App> {
    let required = [
        ("DATABASE_URL", database_url),
        ("MERGE_API_KEY", crate::domain::API_KEY),
        ("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY),
    ];
    let sources = Sources {
        environment: Environment::of(required.iter().chain(variables).copied()),
        ..Sources::default()
    };
    let config = Config::load(&sources, Need::Service)?;
    let pool = syncline::database::connect(&config.database).await?;
    App::new(config, pool, telemetry::recorder())
}
