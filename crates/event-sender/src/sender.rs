//! One request and its answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use ipnet::IpNet;
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::Url;

use crate::resolver::{self, LookUp, Resolver};
use crate::{Refusal, Secret, SendError, SetupError, retry_after, target};

/// Bytes of an answer's body that are read, to use its connection again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Longest time for a connection to be made; a look-up and all addresses included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where may be sent to, and for how long is waited.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether endpoints may be `http://`: what is sent can be read on its way then.
    pub allow_plain_http: bool,
    /// Networks in which endpoints may be although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// From connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// `User-Agent` to send, `<service>/<version>`.
    pub user_agent: String,
}

impl Default for Settings {
    /// Public addresses by https, 15 s a request.
    fn default() -> Self {
        Self {
            allow_plain_http: false,
            allowed_networks: Vec::new(),
            request_timeout: Duration::from_secs(15),
            user_agent: format!("syncline/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The same each time it is sent.
    pub id: &'a str,
    /// Now, in Unix seconds.
    pub timestamp: i64,
    /// JSON.
    pub body: &'a str,
}

/// Sends to endpoints. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct EventSender(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    allows_http: bool,
    allowed: Arc<[IpNet]>,
}

impl EventSender {
    /// Builds the client; sends nothing.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        Self::with_look_up(settings, resolver::system())
    }

    pub(crate) fn with_look_up(settings: Settings, look_up: LookUp) -> Result<Self, SetupError> {
        let allowed: Arc<[IpNet]> = settings.allowed_networks.into();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Arc::new(Resolver::new(look_up, Arc::clone(&allowed))))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .referer(false)
            .timeout(settings.request_timeout)
            .connect_timeout(settings.request_timeout.min(CONNECT_TIMEOUT))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .user_agent(settings.user_agent)
            .build()
            .map_err(|error| SetupError(error.into()))?;
        Ok(Self(Arc::new(Inner {
            http,
            allows_http: settings.allow_plain_http,
            allowed,
        })))
    }

    /// Checks all of a URL that can be checked without asking anybody.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        target::check(url, self.0.allows_http, &self.0.allowed)
    }

    /// Sends a message once, signed with each of the secrets; gives the status of the answer, which is 2xx.
    ///
    /// # Errors
    /// [`SendError`]: it was not taken, as far as we know.
    pub async fn send(
        &self,
        url: &Url,
        secrets: &[Secret],
        message: Message<'_>,
    ) -> Result<u16, SendError> {
        // Each time: the rules may have changed since the URL was stored.
        self.check(url)?;
        let Message {
            id,
            timestamp,
            body,
        } = message;
        let signatures: Vec<String> = secrets
            .iter()
            .map(|secret| secret.sign(id, timestamp, body.as_bytes()))
            .collect();
        let request = self
            .0
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(body.to_owned());
        let mut answer = request.send().await.map_err(unanswered)?;
        drain(&mut answer).await;
        let status = answer.status();
        match status.as_u16() {
            200..=299 => Ok(status.as_u16()),
            410 => Err(SendError::Gone),
            status => Err(SendError::Status {
                status,
                retry_after: retry_after::of(answer.headers(), timestamp),
            }),
        }
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSender")
            .field("allowed_networks", &self.0.allowed)
            .finish_non_exhaustive()
    }
}

/// Reads some of the body. The status was told already, so that a body which breaks off is no fault.
async fn drain(answer: &mut reqwest::Response) {
    let mut left = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = answer.chunk().await {
        let Some(rest) = left.checked_sub(chunk.len()) else {
            return;
        };
        left = rest;
    }
}

fn unanswered(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if let Some(refusal) = refusal(&error) {
        return refusal.into();
    }
    if error.is_timeout() {
        SendError::TimedOut(error)
    } else {
        SendError::Unreachable(error)
    }
}

/// What the resolver refused, somewhere among the causes.
fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        cause = error.source();
    }
    None
}

/// TLS by ring and the system's certificates, given to the client directly so that no process-wide provider is needed.
///
/// Without any certificate the service does the rest of its work, and no endpoint can be reached.
fn tls() -> Result<rustls::ClientConfig, SetupError> {
    let builder = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError(error.into()))
    };
    let mut tls = match builder()?.with_platform_verifier() {
        Ok(verified) => verified.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no CA certificates are installed: endpoints cannot be reached by https");
            builder()?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[cfg(test)]
mod tests;
