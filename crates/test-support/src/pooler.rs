//! A PgBouncer of a test's own.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// How long PgBouncer may take to answer.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// Where systems put it; often where only root looks.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin:\
                    /home/linuxbrew/.linuxbrew/bin";

/// Ends PgBouncer when our end of its standard input is closed, however this process ends.
const WATCHED: &str = r#""$@" & read -r _; kill -KILL $!; wait"#;

/// PgBouncer in transaction mode before a server: each transaction goes to another of its few connections.
#[derive(Debug)]
pub struct TestPooler {
    options: PgConnectOptions,
    version: (u32, u32),
    watched: Child,
    folder: TempDir,
}

impl TestPooler {
    /// Starts PgBouncer before the server of `url`, with at most so many connections to it.
    ///
    /// # Panics
    ///
    /// When it does not start, with the reason.
    pub async fn before(url: &str, connections: u32) -> Self {
        Self::start(url, connections)
            .await
            .unwrap_or_else(|error| panic!("no test pooler: {error:#}"))
    }

    /// How to reach the database of the URL through it.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Whether it is new enough (1.21) to take care of prepared statements by itself.
    pub fn knows_prepared_statements(&self) -> bool {
        self.version >= (1, 21)
    }

    async fn start(url: &str, connections: u32) -> Result<Self> {
        let server: PgConnectOptions = url.parse().context("not a Postgres URL")?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let port = free_port()?;
        write_settings(&folder, &server, port, connections)?;
        let mut pooler = Self {
            options: server.host("127.0.0.1").port(port),
            version: version()?,
            watched: spawn(&folder)?,
            folder,
        };
        pooler.wait_until_ready().await?;
        Ok(pooler)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        // PgBouncer 1.18 refuses what sqlx says beyond the protocol's own; any answer will do.
        while let Err(sqlx::Error::Io(error)) = self.options.connect().await.map(Connection::close)
        {
            if began.elapsed() > START_DEADLINE || self.watched.try_wait()?.is_some() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("PgBouncer does not answer ({error}); its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for TestPooler {
    fn drop(&mut self) {
        drop(self.watched.stdin.take());
        let _ = self.watched.wait();
    }
}

fn write_settings(
    folder: &TempDir,
    server: &PgConnectOptions,
    port: u16,
    connections: u32,
) -> Result<()> {
    let url = server.to_url_lossy();
    let password = url.password().unwrap_or_default();
    let auth_type = if password.is_empty() {
        "trust"
    } else {
        "scram-sha-256"
    };
    let users = folder.path().join("users");
    let host = match server.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => server.get_host().to_owned(),
    };
    fs::write(&users, format!("\"{}\" \"{password}\"\n", url.username()))?;
    let settings = format!(
        "[databases]\n\
         * = host={host} port={}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = {auth_type}\n\
         auth_file = {}\n\
         pool_mode = transaction\n\
         server_round_robin = 1\n\
         default_pool_size = {connections}\n\
         max_client_conn = 500\n\
         server_login_retry = 1\n",
        server.get_port(),
        users.display(),
    );
    fs::write(folder.path().join("pgbouncer.ini"), settings)?;
    Ok(())
}

fn spawn(folder: &TempDir) -> Result<Child> {
    let log = File::create(folder.path().join("log"))?;
    let mut watched = Command::new("sh");
    watched.args(["-c", WATCHED, "sh", "pgbouncer", "-q"]);
    // It refuses to be root.
    if fs::metadata(folder.path())?.uid() == 0 {
        watched.args(["-u", "nobody"]);
    }
    watched
        .arg(folder.path().join("pgbouncer.ini"))
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log);
    let spawned = watched.spawn().context("cannot run sh")?;
    ensure!(spawned.stdin.is_some(), "sh has no standard input");
    Ok(spawned)
}

/// Of `PgBouncer 1.18.0`.
fn version() -> Result<(u32, u32)> {
    let asked = Command::new("sh")
        .args(["-c", "pgbouncer --version"])
        .env("PATH", PATH)
        .output()
        .context("cannot run sh")?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let number = text.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = number.split('.').map_while(|part| part.parse().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => bail!("no PgBouncer: `pgbouncer --version` says {text:?}"),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
