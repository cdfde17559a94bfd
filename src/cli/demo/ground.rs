//! What the demo stands on: a database of its own, and secrets that only it uses.
//!
//! Each run has a fresh database on the server, since each run has a new sandbox, which knows nothing
//! of the accounts of the run before. The database stays until the next run, to be looked at; its name
//! is kept in `.syncline/demo-databases` (`-elsewhere`: on the server of DATABASE_URL).

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use private_postgres::{Options, Server};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, migrate::MigrateDatabase};
use url::Url;
use uuid::Uuid;

use crate::{
    api::ApiKey,
    cli::Unavailable,
    config::{Config, Need, Sources},
};

/// Below the folder in which the demo is started; git ignores it.
const FOLDER: &str = ".syncline";
const DATABASES: &str = "demo-databases";
const DATABASES_ELSEWHERE: &str = "demo-databases-elsewhere";
const SECRETS: &str = "demo-secrets.json";

/// A database, ready to be migrated, and secrets.
pub(super) struct Ground {
    server: Option<Server>,
    /// The address of the run's own database.
    pub(super) database_url: Url,
    /// Throw-away secrets, the same for every run in this folder.
    pub(super) secrets: Secrets,
}

/// Made up at the first run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// The bootstrap key of the API.
    pub(super) api_key: String,
    /// Signs the sandbox's webhooks.
    pub(super) webhook_secret: String,
    /// Seals account tokens.
    pub(super) encryption_key: String,
    /// Our key at the sandbox.
    pub(super) sandbox_key: String,
}

impl Ground {
    /// Prepares both: on the server that the settings name, or on a private one that is started for it.
    pub(super) async fn prepare(sources: &Sources) -> Result<Self> {
        let folder = PathBuf::from(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let secrets = Secrets::load_or_make(&folder.join(SECRETS))?;
        let given = given_database(sources)?;
        let server = match &given {
            Some(_) => None,
            None => Some(start_server(folder.join("postgres")).await?),
        };
        let of_server = server.as_ref().map(|server| server.url("postgres"));
        let base = given
            .map(|url| url.expose_secret().to_owned())
            .or(of_server)
            .unwrap_or_default();
        let base = Url::parse(&base).context("the database's address is not a URL")?;
        let list = if server.is_some() {
            DATABASES
        } else {
            DATABASES_ELSEWHERE
        };
        let database_url = fresh_database(&base, &folder.join(list)).await?;
        Ok(Self {
            server,
            database_url,
            secrets,
        })
    }

    /// Stops the private server, if there is one.
    pub(super) async fn leave(self) -> Result<()> {
        let Some(server) = self.server else {
            return Ok(());
        };
        tokio::task::spawn_blocking(|| server.stop())
            .await?
            .context("cannot stop Postgres")
    }
}

/// The database of the settings; `None` when they name none.
fn given_database(sources: &Sources) -> Result<Option<SecretString>> {
    match Config::load(sources, Need::Database) {
        Ok(config) => Ok(Some(config.database.url)),
        Err(error) if error.key == "database.url" && error.origin == "default" => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn start_server(folder: PathBuf) -> Result<Server> {
    let start = move || Server::start(Options::kept(folder));
    tokio::task::spawn_blocking(start)
        .await?
        .context("cannot start a private Postgres")
}

/// Makes a database, and drops those of earlier runs that nobody uses any more.
async fn fresh_database(base: &Url, list: &Path) -> Result<Url> {
    let at = |name: &str| {
        let mut url = base.clone();
        url.set_path(name);
        url
    };
    let name = format!("syncline_demo_{}", Uuid::now_v7().simple());
    let mut kept = vec![name.clone()];
    for old in fs::read_to_string(list).unwrap_or_default().lines() {
        // Refused while another demo runs on it; the next run tries again.
        if let Err(error) = Postgres::drop_database(at(old).as_str()).await {
            tracing::debug!(%error, database = old, "an earlier demo's database stays");
            kept.push(old.to_owned());
        }
    }
    kept.truncate(20);
    fs::write(list, kept.join("\n") + "\n")
        .with_context(|| format!("cannot write {}", list.display()))?;
    let url = at(&name);
    Postgres::create_database(url.as_str())
        .await
        .context(Unavailable(
            "cannot create a database for the demo; is the server there, and may the role create databases?"
                .to_owned(),
        ))?;
    Ok(url)
}

impl Secrets {
    fn load_or_make(path: &Path) -> Result<Self> {
        if let Ok(text) = fs::read(path)
            && let Ok(secrets) = serde_json::from_slice(&text)
        {
            return Ok(secrets);
        }
        let secrets = Self {
            api_key: ApiKey::generate().expose().to_owned(),
            webhook_secret: random(),
            encryption_key: random(),
            sandbox_key: random(),
        };
        let _ = fs::remove_file(path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(&serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }
}

/// 32 random bytes, in base64.
fn random() -> String {
    STANDARD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRETS);

        let made = Secrets::load_or_make(&path).unwrap();
        let loaded = Secrets::load_or_make(&path).unwrap();

        assert_eq!(made.encryption_key, loaded.encryption_key);
        assert_ne!(made.webhook_secret, made.encryption_key);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(ApiKey::parse(&made.api_key).is_some());
    }
}
