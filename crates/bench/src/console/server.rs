//! The console as `syncline serve --role console` runs it, in a process of its own.

use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use syncline::api::{self, Surfaces};
use tokio::net::TcpListener;

use crate::child::{Child, Parent};
use crate::server::Database;
use crate::service;

/// What the child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The database, with its password.
    url: String,
}

/// The console, seen from its parent. Dropped, it is killed.
pub(crate) struct Console {
    child: Child,
    /// Where it listens, on this machine.
    pub(crate) port: u16,
}

impl Console {
    /// Starts the process and waits until it listens.
    pub(crate) async fn spawn(database: &Database) -> Result<Self> {
        let order = Order {
            url: database.url(),
        };
        let mut child = Child::spawn("console-server", &order).await?;
        let port = child.answer().await?.parse()?;
        Ok(Self { child, port })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.pid()
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut parent = Parent::listen();
    let order: Order = parent.order().await?;
    let app = service::app(&order.url, &[("SYNCLINE_API_KEY", super::visitor::API_KEY)]).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let (pulse, pool, shutdown) = (
        Arc::clone(&app.pulse),
        app.pool.clone(),
        app.shutdown.clone(),
    );
    app.requests
        .spawn(async move { pulse.run(pool, shutdown).await });
    let surfaces = Surfaces {
        has_api: false,
        has_console: true,
    };
    let until_stdin_ends = async {
        parent.answer(&port.to_string())?;
        while parent.next().await.is_some() {}
        app.shutdown.cancel();
        anyhow::Ok(())
    };
    let serving = async {
        let router = api::router_of(app.clone(), surfaces);
        Ok(api::serve(listener, router, app.shutdown.clone()).await?)
    };
    tokio::try_join!(until_stdin_ends, serving)?;
    Ok(())
}
