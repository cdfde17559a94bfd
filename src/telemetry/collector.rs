//! The way to the collector of traces: our HTTP client, in our runtime, for a thread that has none.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Handle;
use url::Url;

/// Bytes of an answer that are read, at most: it says hardly more than "thank you".
const LONGEST_ANSWER: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    /// Must be called in the runtime.
    pub(super) fn new(endpoint: &Url, patience: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(endpoint)?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(patience)
            .connect_timeout(patience)
            .build()
            .context("cannot build the HTTP client for traces")?;
        let runtime = Handle::try_current().context("traces need a runtime")?;
        Ok(Self { http, runtime })
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        async move { sending.await? }.boxed()
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.extend(answer.headers().clone());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("the collector's answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(body.into())?)
}

/// TLS by ring and the system's certificates; a plain `http` endpoint must not fail for want of those.
fn tls(endpoint: &Url) -> anyhow::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let builder = if endpoint.scheme() == "https" {
        builder.with_platform_verifier()?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
