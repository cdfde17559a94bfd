//! One request and its answer: the only place that talks over the wire.

mod body;
mod detail;
mod retry_after;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use self::watch::Watch;
use crate::{AccountToken, Error, MergeClient, decode};

const ACCOUNT_TOKEN_HEADER: &str = "X-Account-Token";

/// Longest error body read; its text is cut much shorter.
const MAX_ERROR_BODY_BYTES: usize = 64 << 10;

/// A request in the making. Tokens stand in headers or, encoded, in one path segment; never in `endpoint`.
pub(crate) struct Request<'a> {
    client: &'a MergeClient,
    method: Method,
    endpoint: String,
    url: Url,
    account_token: Option<&'a AccountToken>,
    secret_segment: Option<&'a SecretString>,
    body: Option<Vec<u8>>,
}

/// A successful answer with its whole body.
pub(crate) struct Answer {
    pub(crate) endpoint: String,
    content_type: Option<String>,
    /// What the far side's clock showed.
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) body: Bytes,
}

impl<'a> Request<'a> {
    /// A request for `path`, below the base, of plain segments joined by `/`.
    pub(crate) fn new(client: &'a MergeClient, method: Method, path: &str) -> Self {
        let mut url = client.inner().base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path.split('/'));
        }
        Self {
            endpoint: format!("{method} {path}"),
            client,
            method,
            url,
            account_token: None,
            secret_segment: None,
            body: None,
        }
    }

    pub(crate) fn account_token(mut self, token: &'a AccountToken) -> Self {
        self.account_token = Some(token);
        self
    }

    /// Appends a secret as the last segment, percent-encoded.
    pub(crate) fn secret_segment(mut self, secret: &'a SecretString) -> Result<Self, Error> {
        // The URL type drops `.` and `..`, which would ask for the folder instead.
        if matches!(secret.expose_secret(), "" | "." | "..") {
            let reason = "the token in its path is empty or a dot";
            return Err(Error::Unsendable {
                endpoint: self.endpoint,
                reason,
            });
        }
        if let Ok(mut segments) = self.url.path_segments_mut() {
            segments.push(secret.expose_secret());
        }
        self.secret_segment = Some(secret);
        Ok(self)
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.body =
            Some(serde_json::to_vec(body).expect("our request bodies are plain structs of text"));
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// As [`Error`] describes for statuses and transport; the body of a success is not looked at.
    #[tracing::instrument(
        name = "merge.request", level = "debug", skip_all,
        fields(
            endpoint = %self.endpoint, http.request.method = %self.method,
            http.response.status_code = Empty, error.type = Empty,
        )
    )]
    pub(crate) async fn send(self) -> Result<Answer, Error> {
        let started = Instant::now();
        let headers = self.headers()?;
        let inner = self.client.inner();
        let mut request = inner
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(headers);
        if let Some(body) = &self.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }

        let mut watch = Watch::begin(inner.observer, &self.endpoint);
        let mut response = request.send().await.map_err(|error| {
            note(None, started.elapsed());
            self.transport(error)
        })?;
        let status = response.status();
        watch.answered(status, response.headers(), self.secrets());
        let limit = if status.is_success() {
            inner.max_body_bytes
        } else {
            MAX_ERROR_BODY_BYTES
        };
        let read = body::read(&mut response, limit).await;
        drop(watch);
        note(Some(status), started.elapsed());
        tracing::debug!(
            duration_ms = started.elapsed().as_millis(),
            "Merge answered"
        );
        if !status.is_success() {
            // The status says enough: an error body that cannot be read is no further fault.
            let bytes = read.ok().flatten().unwrap_or_default();
            return Err(self.refusal(status, response.headers(), &bytes));
        }
        let body = read
            .map_err(|error| self.transport(error))?
            .ok_or_else(|| Error::TooLarge {
                endpoint: self.endpoint.clone(),
                limit_bytes: limit,
            })?;
        let content_type = content_type(response.headers()).map(Cow::into_owned);
        let date = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        Ok(Answer {
            endpoint: self.endpoint,
            content_type,
            date: date.map(|date| date.to_utc()),
            body,
        })
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.client.inner().authorization.clone());
        if let Some(token) = self.account_token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
                let reason = "the account token holds characters no header may";
                Error::Unsendable {
                    endpoint: self.endpoint.clone(),
                    reason,
                }
            })?;
            value.set_sensitive(true);
            headers.insert(ACCOUNT_TOKEN_HEADER, value);
        }
        Ok(headers)
    }

    /// What it carries and nobody is to be told.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let secrets = [
            Some(self.client.inner().api_key.expose_secret()),
            self.account_token.map(AccountToken::expose),
            self.secret_segment.map(SecretString::expose_secret),
        ];
        secrets.into_iter().flatten()
    }

    fn transport(&self, source: reqwest::Error) -> Error {
        Error::Transport {
            endpoint: self.endpoint.clone(),
            source: source.without_url(),
        }
    }

    /// The error that an unsuccessful status means.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let endpoint = self.endpoint.clone();
        let detail = || detail::of(content_type(headers).as_deref(), body, self.secrets());
        match status {
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited {
                endpoint,
                retry_after: retry_after::of(headers),
            },
            StatusCode::UNAUTHORIZED => Error::Unauthorized {
                endpoint,
                detail: detail(),
            },
            StatusCode::FORBIDDEN => Error::Forbidden {
                endpoint,
                detail: detail(),
            },
            StatusCode::NOT_FOUND => Error::NotFound {
                endpoint,
                detail: detail(),
            },
            status if status.is_server_error() => Error::Server {
                endpoint,
                status: status.as_u16(),
                retry_after: retry_after::of(headers),
            },
            status if status.is_redirection() => Error::Rejected {
                endpoint,
                status: status.as_u16(),
                detail: "redirects are not followed; is the base URL right?".to_owned(),
            },
            status => Error::Rejected {
                endpoint,
                status: status.as_u16(),
                detail: detail(),
            },
        }
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode::json(&self.endpoint, self.json_bytes()?)
    }

    /// The body, after a look at its content type: JSON, or nothing declared.
    pub(crate) fn json_bytes(&self) -> Result<&[u8], Error> {
        match self.content_type.as_deref() {
            Some(declared) if !is_json(declared) => Err(Error::NotJson {
                endpoint: self.endpoint.clone(),
                content_type: detail::cut(declared, 60),
            }),
            _ => Ok(&self.body),
        }
    }
}

/// Notes a request's answer, if there was one, and how long it took to the answer's last byte.
fn note(status: Option<StatusCode>, took: Duration) {
    let span = Span::current();
    match status {
        Some(status) => {
            span.record("http.response.status_code", status.as_u16());
            if !status.is_success() {
                span.record("error.type", status.as_str());
            }
        }
        None => {
            span.record("error.type", "no_answer");
        }
    }
    let class = match status.map(|status| status.as_u16()) {
        None => "none",
        Some(429) => "429",
        Some(..300) => "2xx",
        Some(300..400) => "3xx",
        Some(400..500) => "4xx",
        Some(500..) => "5xx",
    };
    metrics::counter!("syncline_merge_requests_total", "status" => class).increment(1);
    metrics::histogram!("syncline_merge_request_duration_seconds", "status" => class).record(took);
}

/// The connections to one base: no redirects, no proxy, gzip, bounded in time.
pub(crate) fn connections(
    base: &Url,
    timeout: Duration,
    user_agent: &str,
) -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(base)?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .gzip(true)
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .tcp_keepalive(Duration::from_secs(30))
        .user_agent(user_agent)
        .build()
        .map_err(|error| Error::Setup(chain(&error)))
}

/// TLS by ring and the system's certificates, given to the client directly so that no process-wide provider is needed.
///
/// A plain `http` base (the sandbox) never uses it, so it must not fail for want of certificates.
fn tls(base: &Url) -> Result<rustls::ClientConfig, Error> {
    let setup = |error: rustls::Error| Error::Setup(format!("no usable TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let mut tls = if base.scheme() == "https" {
        builder
            .with_platform_verifier()
            .map_err(setup)?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn content_type(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
