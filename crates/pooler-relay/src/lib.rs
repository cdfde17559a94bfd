#![doc = include_str!("../README.md")]

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use uuid::Uuid;

mod connection;
mod frames;
mod startup;
mod statements;

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The relay cannot encrypt.
    #[error(
        "the relay to the pooler speaks no TLS, but sslmode asks for it: use sslmode=disable and a \
         pooler on this machine or in a private network"
    )]
    Tls,
    /// The socket for our own connections cannot be made.
    #[error("cannot make a socket in {}", folder.display())]
    Socket {
        /// Where.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Starts a relay to the pooler that `pooler` leads to; connect with the options returned instead.
///
/// It runs until the runtime ends. Only this process' user can reach it.
///
/// # Errors
/// [`Error::Tls`], [`Error::Socket`].
pub fn through(pooler: &PgConnectOptions) -> Result<PgConnectOptions, Error> {
    match pooler.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => {}
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => return Err(Error::Tls),
    }
    let folder = Folder::make()?;
    let options = pooler
        .clone()
        .socket(&folder.0)
        .ssl_mode(PgSslMode::Disable);
    let socket = folder.0.join(format!(".s.PGSQL.{}", pooler.get_port()));
    let listener = UnixListener::bind(socket).map_err(|source| Error::Socket {
        folder: folder.0.clone(),
        source,
    })?;
    let address = Address::of(pooler);
    #[expect(
        clippy::disallowed_methods,
        reason = "it holds nothing: connections end with their other end"
    )]
    tokio::spawn(accept(listener, address, folder));
    Ok(options)
}

/// A private folder, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Error> {
        // Short: a socket's path has room for a hundred bytes.
        let name = format!("syncline-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let folder = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(source) => Err(Error::Socket { folder, source }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the pooler is.
#[derive(Debug, Clone)]
enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    fn of(options: &PgConnectOptions) -> Self {
        let (host, port) = (options.get_host(), options.get_port());
        let folder = match options.get_socket() {
            Some(folder) => Some(folder.as_path()),
            None => host.starts_with('/').then_some(Path::new(host)),
        };
        match folder {
            Some(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => Self::Tcp(host.to_owned(), port),
        }
    }
}

async fn accept(listener: UnixListener, address: Address, _folder: Folder) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors, for one; they come back.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it holds nothing: it ends with either end"
        )]
        tokio::spawn(relay(client, address.clone()));
    }
}

async fn relay(mut client: UnixStream, address: Address) {
    let ended = match &address {
        Address::Tcp(host, port) => match TcpStream::connect((host.as_str(), *port)).await {
            Ok(pooler) => {
                // Each message is small, and waited for.
                let _ = pooler.set_nodelay(true);
                connection::run(client, pooler).await
            }
            Err(error) => startup::refuse(&mut client, &error).await,
        },
        Address::Unix(path) => match UnixStream::connect(path).await {
            Ok(pooler) => connection::run(client, pooler).await,
            Err(error) => startup::refuse(&mut client, &error).await,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection through the pooler ended");
    }
}
