//! How values are written: functions for `#[serde(deserialize_with)]`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use jobs::Selection;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use crate::mapping::Mapping;

/// A duration with its unit, such as `30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|_| {
        D::Error::custom(format!(
            r#"`{text}` is no duration; write "500ms", "30s", "5m" or "24h""#
        ))
    })
}

/// Host address and port; empty for none.
pub(super) fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    read_address(&text).map(Some)
}

/// Host address and port.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    read_address(&String::deserialize(deserializer)?)
}

fn read_address<E: serde::de::Error>(text: &str) -> Result<SocketAddr, E> {
    text.parse().map_err(|_| {
        E::custom(format!(
            "`{text}` is no address; write one with its port, such as 127.0.0.1:8080"
        ))
    })
}

/// An absolute URL.
pub(super) fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The text is left out: a URL may carry a password.
    text.parse().map_err(|error| {
        D::Error::custom(format!(
            "no URL ({error}); write one such as https://api.merge.dev"
        ))
    })
}

/// A secret; empty for none.
pub(super) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Secrets separated by commas; empty for none.
pub(super) fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let secrets = text
        .split(',')
        .map(str::trim)
        .filter(|secret| !secret.is_empty());
    Ok(secrets.map(SecretString::from).collect())
}

/// Categories and models: a list, or a text with commas between them; empty for all.
pub(super) fn selection<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Selection, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = r#"expected names, such as ["hris", "crm.CRMContact"]"#
    )]
    enum Names {
        Text(String),
        List(Vec<String>),
    }

    let names = match Names::deserialize(deserializer)? {
        Names::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Names::List(names) => names,
    };
    let names = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty());
    Selection::of(names).map_err(D::Error::custom)
}

/// The mapping in the file of that path; empty for none.
pub(super) fn mapping<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mapping, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.is_empty() {
        return Ok(Mapping::default());
    }
    Mapping::read(Path::new(&path)).map_err(D::Error::custom)
}

/// Networks separated by commas, each as `10.0.0.0/8` or a single address; empty for none.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let networks = text
        .split(',')
        .map(str::trim)
        .filter(|network| !network.is_empty());
    let parse = |network: &str| {
        let single = || {
            network
                .parse()
                .map(|address: std::net::IpAddr| address.into())
        };
        network.parse().or_else(|_| single()).map_err(|_| {
            D::Error::custom(format!(
                "`{network}` is no network; write one such as 10.20.0.0/16"
            ))
        })
    };
    networks.map(parse).collect()
}
