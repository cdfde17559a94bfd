//! Names to addresses: the connection goes to what was checked here, and nothing looks a name up again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Refusal;
use crate::address::is_allowed;

/// Looks a name up.
pub(crate) type LookUp =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Gives the client only addresses that may be connected to.
pub(crate) struct Resolver {
    look_up: LookUp,
    allowed: Arc<[IpNet]>,
}

impl Resolver {
    pub(crate) fn new(look_up: LookUp, allowed: Arc<[IpNet]>) -> Self {
        Self { look_up, allowed }
    }
}

/// As the system does it.
pub(crate) fn system() -> LookUp {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.look_up)(name.as_str().to_owned());
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let found = found.await?;
            let usable: Vec<SocketAddr> = found
                .iter()
                .filter(|address| is_allowed(**address, &allowed))
                // The client puts the URL's port in.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            if usable.is_empty() && !found.is_empty() {
                return Err(Refusal::Address.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}
