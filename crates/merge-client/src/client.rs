use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::account::Account;
use crate::catalogue::Category;
use crate::{AccountToken, Error, transport};

/// How to reach Merge.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host and port, such as `https://api.merge.dev`; a trailing `/` or `/api` makes no difference.
    pub base_url: Url,
    /// The organisation's API key: a production key makes production accounts, a test key test accounts.
    pub api_key: SecretString,
    /// Limit for one call from connecting to the last byte of the body; Merge's own SDKs take 60 s.
    pub request_timeout: Duration,
    /// Longest body read, in bytes after decompression. Pages of 100 records can reach many megabytes.
    pub max_body_bytes: usize,
    /// `User-Agent` to send, `<service>/<version>`.
    pub user_agent: String,
    /// Told of each request when it has ended; default nobody.
    pub observer: Option<Observer>,
}

/// Told of requests.
pub type Observer = fn(&Exchange<'_>);

/// A request that has ended, for those who keep a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Below `/api`, without what is secret in it.
    pub path: &'a str,
    /// What was answered; `None` when nothing was, or the request was given up before.
    pub status: Option<u16>,
    /// To the answer's last byte, or until it was given up.
    pub took: Duration,
    /// What the far side calls the request, if it says so.
    pub request_id: Option<&'a str>,
}

impl Settings {
    /// Settings with the usual limits: 60 s a call, 32 MiB a body.
    pub fn new(base_url: Url, api_key: SecretString) -> Self {
        Self {
            base_url,
            api_key,
            request_timeout: Duration::from_mins(1),
            max_body_bytes: 32 << 20,
            user_agent: format!("syncline/{}", env!("CARGO_PKG_VERSION")),
            observer: None,
        }
    }
}

/// A client of Merge's API. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct MergeClient(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) api_key: SecretString,
    pub(crate) authorization: HeaderValue,
    pub(crate) max_body_bytes: usize,
    pub(crate) observer: Option<Observer>,
}

impl MergeClient {
    /// Builds the client; sends nothing.
    ///
    /// # Errors
    /// [`Error::Setup`] when the base URL is not http(s) or carries credentials, query or fragment, when the key cannot
    /// stand in a header, or when an `https` base meets a machine without any CA certificate.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let base = normalised(settings.base_url)?;
        let bearer = format!("Bearer {}", settings.api_key.expose_secret());
        let mut authorization = HeaderValue::from_str(&bearer)
            .map_err(|_| Error::Setup("the API key holds characters no header may".to_owned()))?;
        authorization.set_sensitive(true);
        let http = transport::connections(&base, settings.request_timeout, &settings.user_agent)?;
        Ok(Self(Arc::new(Inner {
            http,
            base,
            api_key: settings.api_key,
            authorization,
            max_body_bytes: settings.max_body_bytes,
            observer: settings.observer,
        })))
    }

    /// The calls about one linked account, which belongs to `category`.
    pub fn account<'a>(&'a self, category: Category, token: &'a AccountToken) -> Account<'a> {
        Account {
            client: self,
            category,
            token,
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for MergeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeClient")
            .field("base", &self.0.base.as_str())
            .finish_non_exhaustive()
    }
}

/// The base as every path below it is joined to it: ending in `/api`, without a slash.
fn normalised(mut base: Url) -> Result<Url, Error> {
    let fault = |what: &str| Err(Error::Setup(format!("the base URL {what}")));
    if !matches!(base.scheme(), "http" | "https") {
        return fault("is neither http nor https");
    }
    if !base.username().is_empty() || base.password().is_some() {
        return fault("carries credentials");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return fault("carries a query or a fragment");
    }
    let path = base.path().trim_end_matches('/');
    let path = if path.ends_with("/api") {
        path.to_owned()
    } else {
        format!("{path}/api")
    };
    base.set_path(&path);
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_may_be_written_in_several_ways() {
        for (given, base) in [
            ("https://api.merge.dev", "https://api.merge.dev/api"),
            ("https://api.merge.dev/", "https://api.merge.dev/api"),
            ("https://api.merge.dev/api", "https://api.merge.dev/api"),
            ("https://api.merge.dev/api/", "https://api.merge.dev/api"),
            (
                "http://127.0.0.1:4010/merge",
                "http://127.0.0.1:4010/merge/api",
            ),
        ] {
            assert_eq!(normalised(given.parse().unwrap()).unwrap().as_str(), base);
        }
    }

    #[test]
    fn refuses_a_base_that_is_no_plain_http_address() {
        for given in [
            "ftp://h/",
            "https://user:pw@h/",
            "https://h/?a=b",
            "https://h/#x",
        ] {
            let error = normalised(given.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("the base URL"), "{error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn refuses_a_key_that_no_header_can_carry() {
        let settings = Settings::new("http://127.0.0.1/".parse().unwrap(), "key\n".into());

        let error = MergeClient::new(settings).unwrap_err();

        assert!(matches!(error, Error::Setup(_)));
    }

    #[test]
    fn is_built_for_https_without_a_global_tls_provider() {
        let settings = Settings::new("https://api.merge.dev".parse().unwrap(), "key".into());

        assert!(MergeClient::new(settings).is_ok());
    }
}
