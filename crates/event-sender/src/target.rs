//! What a URL must look like, before anybody is asked for its address.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::Refusal;
use crate::address::is_allowed;

const MAX_LENGTH: usize = 2_000;

/// Below are the ports of other protocols; a signed POST has no business there.
const FIRST_FREE_PORT: u16 = 1024;

/// Checks all of a URL that can be checked without a look-up.
pub(crate) fn check(url: &Url, allows_http: bool, allowed: &[IpNet]) -> Result<(), Refusal> {
    let (is_scheme, port) = match url.scheme() {
        "https" => (true, 443),
        "http" => (allows_http, 80),
        _ => (false, 0),
    };
    if !is_scheme {
        return Err(Refusal::NotHttps);
    }
    if url.as_str().len() > MAX_LENGTH {
        return Err(Refusal::TooLong);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Credentials);
    }
    if url.fragment().is_some() {
        return Err(Refusal::Fragment);
    }
    if url
        .port()
        .is_some_and(|other| other != port && other < FIRST_FREE_PORT)
    {
        return Err(Refusal::Port);
    }
    // An address needs no look-up, so the resolver will not see it.
    let literal: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) | None => None,
    };
    match literal {
        Some(address) if !is_allowed(address, allowed) => Err(Refusal::Address),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str) -> Result<(), Refusal> {
        check(&url.parse().unwrap(), false, &[])
    }

    #[test]
    fn a_plain_https_url_passes() {
        for url in [
            "https://hooks.example",
            "https://hooks.example:443/in?tenant=7",
            "https://hooks.example:8443/in",
            "https://1.1.1.1/in",
            "https://[2606:4700::1111]/in",
        ] {
            assert_eq!(checked(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (url, refusal) in [
            ("http://hooks.example/in", Refusal::NotHttps),
            ("ftp://hooks.example/in", Refusal::NotHttps),
            ("https://user@hooks.example/in", Refusal::Credentials),
            ("https://:pw@hooks.example/in", Refusal::Credentials),
            ("https://hooks.example/in#part", Refusal::Fragment),
            ("https://hooks.example:22/in", Refusal::Port),
            ("https://hooks.example:80/in", Refusal::Port),
            ("https://127.0.0.1/in", Refusal::Address),
            // The same in other spellings.
            ("https://2130706433/in", Refusal::Address),
            ("https://0x7f.1/in", Refusal::Address),
            ("https://0177.0.0.1/in", Refusal::Address),
            ("https://127.1/in", Refusal::Address),
            ("https://①②⑦.0.0.1/in", Refusal::Address),
            ("https://[::1]/in", Refusal::Address),
            ("https://[::ffff:127.0.0.1]/in", Refusal::Address),
            ("https://[::ffff:a9fe:a9fe]/in", Refusal::Address),
            ("https://169.254.169.254/latest", Refusal::Address),
        ] {
            assert_eq!(checked(url), Err(refusal), "{url}");
        }
        let long = format!("https://hooks.example/{}", "a".repeat(MAX_LENGTH));
        assert_eq!(checked(&long), Err(Refusal::TooLong));
    }

    #[test]
    fn what_is_allowed_passes() {
        let url = "http://127.0.0.1:8080/in".parse().unwrap();
        let loopback = ["127.0.0.0/8".parse().unwrap()];

        assert_eq!(check(&url, true, &loopback), Ok(()));
        assert_eq!(check(&url, true, &[]), Err(Refusal::Address));
        assert_eq!(check(&url, false, &loopback), Err(Refusal::NotHttps));
    }
}
