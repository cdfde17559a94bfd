//! Settings: valid, and such that nobody listens in.

use std::net::IpAddr;
use std::str::FromStr as _;

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::Report;
use crate::config::{Config, Need, Sources};

/// The settings, as far as anything can be done with them.
pub(super) fn examine(report: &mut Report, sources: &Sources) -> Option<Config> {
    match Config::load(sources, Need::Service) {
        Ok(config) => {
            report.ok("settings", "all are valid");
            warn(report, &config);
            Some(config)
        }
        Err(error) => {
            report.fail("settings", error.to_string(), "correct it");
            let config = Config::load(sources, Need::Database).ok()?;
            warn(report, &config);
            Some(config)
        }
    }
}

fn warn(report: &mut Report, config: &Config) {
    if config.merge.api_base.scheme() == "http" && config.merge.allow_plain_http {
        let found = "merge.api_base is http: both of Merge's tokens travel in the clear";
        report.warn("privacy", found, "use https, unless this is a sandbox");
    }
    if config.endpoints.allow_plain_http {
        let found = "endpoints.allow_plain_http is set: events can be read on their way";
        report.warn("privacy", found, "use https endpoints, and unset it");
    }
    if is_in_the_clear(config.database.url.expose_secret()) {
        let found = "the connection to the database may be in the clear";
        let advice = "append ?sslmode=verify-full to DATABASE_URL (or =require)";
        report.warn("privacy", found, advice);
    }
}

/// Whether it leads off this machine without insisting on TLS.
fn is_in_the_clear(url: &str) -> bool {
    let Ok(options) = PgConnectOptions::from_str(url) else {
        return false;
    };
    let host = options.get_host();
    let is_here = host == "localhost"
        || host.starts_with('/')
        || options.get_socket().is_some()
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    let insists = match options.get_ssl_mode() {
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => true,
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => false,
    };
    !is_here && !insists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_off_this_machine_and_without_tls_anybody_listens_in() {
        for (url, expected) in [
            ("postgres://a@127.0.0.1/b", false),
            ("postgres://a@localhost/b", false),
            ("postgres://a@%2Frun%2Fpostgresql/b", false),
            ("postgres://a@db.example/b", true),
            ("postgres://a@10.0.0.1/b?sslmode=prefer", true),
            ("postgres://a@db.example/b?sslmode=require", false),
            ("postgres://a@db.example/b?sslmode=verify-full", false),
        ] {
            assert_eq!(is_in_the_clear(url), expected, "{url}");
        }
    }
}
