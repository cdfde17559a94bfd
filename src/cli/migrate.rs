use crate::config::Config;
use crate::database;

/// Applies the migrations that the database lacks.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    database::migrate(&config.database).await?;
    tracing::info!("the database has this version's shape");
    Ok(())
}
