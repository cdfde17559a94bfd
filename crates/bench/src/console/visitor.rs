//! Somebody at the console: one request after another over one connection, as a browser that is in a hurry.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, StatusCode, header, redirect::Policy};

/// What they log in with.
pub(crate) const API_KEY: &str = "key-of-the-benchmark-of-the-console";

/// A session.
pub(crate) struct Visitor {
    http: Client,
    base: String,
    /// `name=value`
    cookie: String,
}

/// A page, and how long it took until the last byte was there.
pub(crate) struct Seen {
    pub(crate) milliseconds: f64,
    pub(crate) html: String,
}

impl Visitor {
    /// Logs in at the console that listens there.
    pub(crate) async fn enter(port: u16) -> Result<Self> {
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()?;
        let origin = format!("http://127.0.0.1:{port}");
        let base = format!("{origin}/console/");
        let login = http
            .post(format!("{base}login"))
            .header(header::ORIGIN, &origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("key={API_KEY}"));
        let answer = login.send().await.context("cannot log in")?;
        ensure!(
            answer.status() == StatusCode::SEE_OTHER,
            "the login was answered {}",
            answer.status()
        );
        let cookie = answer
            .headers()
            .get(header::SET_COOKIE)
            .context("there is no cookie")?;
        let cookie = cookie
            .to_str()?
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Self { http, base, cookie })
    }

    /// Looks at a page, its address from the console's own on.
    pub(crate) async fn look(&self, page: &str) -> Result<Seen> {
        let started = Instant::now();
        let asked = self
            .http
            .get(format!("{}{page}", self.base))
            .header(header::COOKIE, &self.cookie);
        let answer = asked
            .send()
            .await
            .with_context(|| format!("cannot get `{page}`"))?;
        let status = answer.status();
        let html = answer
            .text()
            .await
            .with_context(|| format!("cannot read `{page}`"))?;
        ensure!(status == StatusCode::OK, "`{page}` was answered {status}");
        Ok(Seen {
            milliseconds: started.elapsed().as_secs_f64() * 1_000.0,
            html,
        })
    }
}
