//! Who a proxy says somebody is.
//!
//! Believed of the addresses in `console.trusted_proxies` only, which the connection itself shows: no header can make one
//! up. The proxy says who; what they may do, their user here says.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use crate::app::App;

/// The name that a trusted proxy gives; `None` when none does, and when it is said twice, as by somebody before it.
pub(super) fn named(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<String> {
    let settings = &app.config.console;
    let header = settings.proxy_header.as_ref()?;
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let peer = peer.ip().to_canonical();
    let mut trusted = settings.trusted_proxies.iter();
    if !trusted.any(|network| network.contains(&peer)) {
        return None;
    }
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let name = value.to_str().ok()?.trim().to_lowercase();
    (!name.is_empty()).then_some(name)
}
