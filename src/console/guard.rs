//! Who is it, and did a form of ours send it.
//!
//! A change is taken only when three things agree: the browser says that it comes from our own pages (`Origin`,
//! `Sec-Fetch-Site`), a cookie that it sends nowhere else names a session, and the form brings that session's token.
//!
//! Over https the cookie is `__Host-syncline`, which a browser takes and sends over https only, and only for this very
//! host. On this machine itself, as with the demo, there is no https; there the cookie has another name.

use std::convert::Infallible;

use axum::{
    body::to_bytes,
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use phrases::{Phrase, mark, say};

use super::{
    fault::Fault,
    language::Reader,
    page::{root_of, see_other},
    proxy,
};
use crate::app::App;
use crate::ops::access::{self, Token};
use crate::ops::{Actor, Ops};

/// Bytes of a form.
const MAX_FORM_BYTES: usize = 64 * 1024;
const SECURE_COOKIE: &str = "__Host-syncline";
const LOCAL_COOKIE: &str = "syncline";
const THEME_COOKIE: &str = "syncline-theme";
/// Set by the script when it fetches a page again; such a request is not told notices.
const LIVE_HEADER: &str = "x-live";

/// Light, dark, or as the system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => mark!("auto"),
            Self::Light => mark!("light"),
            Self::Dark => mark!("dark"),
        }
    }

    pub(super) fn parse(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|theme| theme.as_str() == name);
        found.unwrap_or(Self::Auto)
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookie(headers, THEME_COOKIE).map_or(Self::Auto, |name| Self::parse(&name))
    }

    /// The header that has a browser remember it.
    pub(super) fn remember(self) -> HeaderValue {
        let text = match self {
            Self::Auto => "syncline-theme=; Path=/; Max-Age=0; SameSite=Strict",
            Self::Light => "syncline-theme=light; Path=/; Max-Age=31536000; SameSite=Strict",
            Self::Dark => "syncline-theme=dark; Path=/; Max-Age=31536000; SameSite=Strict",
        };
        HeaderValue::from_static(text)
    }
}

/// Somebody looks at a page, or sends a form.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) actor: Actor,
    pub(super) token: Token,
    pub(super) notice: Option<String>,
    /// The database's clock.
    pub(super) now: DateTime<Utc>,
    /// Leads from this page to the console's own address.
    pub(super) root: String,
    /// This page, from the console's own address.
    pub(super) here: String,
    pub(super) theme: Theme,
    pub(super) reader: Reader,
}

impl Visit {
    /// The service in their hands.
    pub(super) fn ops(&self, app: &App) -> Ops {
        Ops::new(app.pool.clone(), app.queue.clone(), self.actor.clone())
    }

    /// Ends an action: tells what it came to on the page that is shown next.
    pub(super) async fn done(
        &self,
        app: &App,
        next: &str,
        notice: Phrase,
    ) -> Result<Response, Fault> {
        let notice = notice.told(self.reader.language);
        access::tell(app, &self.token, Some(&notice)).await?;
        Ok(see_other(&format!("{}{next}", self.root)))
    }
}

/// Every request of a route behind [`admit`] has a visit.
impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let visit = parts.extensions.get::<Self>().cloned();
        Ok(visit.expect("a route whose handler takes a visit stands behind the guard"))
    }
}

/// A form that was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The character that Postgres text cannot hold is left out.
    pub(super) fn parse(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body).into_owned();
        Self(
            pairs
                .map(|(name, value)| (name, value.replace('\0', "")))
                .collect(),
        )
    }

    /// A field, if something was typed into it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// A field that must not be empty.
    pub(super) fn need(&self, name: &str) -> Result<&str, Fault> {
        self.text(name)
            .ok_or_else(|| Fault::field(name, mark!("must not be empty")))
    }

    /// The address of what comes after this place in a list, with these fields as they are.
    pub(super) fn next(&self, names: &[&str], place: &str) -> String {
        let mut next = url::form_urlencoded::Serializer::new(String::from("?"));
        for name in names {
            if let Some(value) = self.text(name) {
                next.append_pair(name, value);
            }
        }
        next.append_pair("after", place).finish()
    }

    /// A field that holds a value of some type, if something was typed into it.
    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        rule: &'static str,
    ) -> Result<Option<T>, Fault> {
        let parsed = self.text(name).map(str::parse).transpose();
        parsed.map_err(|_| Fault::field(name, rule))
    }
}

/// As [`Visit`].
impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Middleware: lets those pass who are logged in, and what forms of their session send.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    match enter(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

async fn enter(app: &App, request: Request) -> Result<Request, Response> {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers();
    if !is_reading {
        check_origin(app, headers).map_err(IntoResponse::into_response)?;
    }
    let root = root_of(request.uri().path());
    let here = here(request.uri());
    let is_live = headers.contains_key(LIVE_HEADER);
    let Some(token) = session_token(app, headers) else {
        return Err(to_login(&root, &here, is_reading && !is_live));
    };
    let present = access::who(app, &token).await.map_err(fault)?;
    let named = proxy::named(app, headers, request.extensions());
    // The browser may have been handed to somebody else.
    let present = present.filter(|present| named.is_none_or(|name| name == present.actor.name));
    let Some(present) = present else {
        return Err(to_login(&root, &here, is_reading && !is_live));
    };
    let notice = present.notice.filter(|_| is_reading && !is_live);
    if notice.is_some() {
        access::tell(app, &token, None).await.map_err(fault)?;
    }
    let visit = Visit {
        theme: Theme::of(headers),
        reader: Reader::of(headers),
        actor: present.actor,
        token,
        notice,
        now: present.now,
        root,
        here,
    };
    let (mut parts, body) = request.into_parts();
    if is_reading {
        parts.extensions.insert(visit);
        return Ok(Request::from_parts(parts, body));
    }
    let form = read_form(&parts.headers, body)
        .await
        .map_err(IntoResponse::into_response)?;
    if !visit
        .token
        .is_of_forms(form.text("token").unwrap_or_default())
    {
        let detail = say!(
            "This form is not of your session: go back, load the page again, and send it anew."
        );
        return Err(Fault::told(StatusCode::FORBIDDEN, detail).into_response());
    }
    parts.extensions.insert(visit);
    parts.extensions.insert(form);
    Ok(Request::from_parts(parts, axum::body::Body::empty()))
}

fn fault(error: crate::ops::Error) -> Response {
    Fault::from(error).into_response()
}

/// The page and its parameters, from the console's own address.
fn here(uri: &http::Uri) -> String {
    let whole = uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str);
    whole
        .strip_prefix("/console/")
        .unwrap_or_default()
        .to_owned()
}

fn to_login(root: &str, here: &str, is_page: bool) -> Response {
    if !is_page {
        let detail = say!("Your session is over: log in again. Nothing was changed.");
        return Fault::told(StatusCode::UNAUTHORIZED, detail).into_response();
    }
    let next: String = url::form_urlencoded::byte_serialize(here.as_bytes()).collect();
    see_other(&format!("{root}login?next={next}"))
}

/// Reads a form, as browsers send it.
pub(super) async fn read_form(headers: &HeaderMap, body: axum::body::Body) -> Result<Form, Fault> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|value| value.starts_with(b"application/x-www-form-urlencoded")) {
        return Err(Fault::told(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            say!("This takes forms only."),
        ));
    }
    let bytes = to_bytes(body, MAX_FORM_BYTES).await;
    let bytes = bytes.map_err(|_| {
        Fault::told(
            StatusCode::PAYLOAD_TOO_LARGE,
            say!("The form is too large."),
        )
    })?;
    Ok(Form::parse(&bytes))
}

/// Refuses what does not come from our own pages.
pub(super) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    let is_ours = match text("origin") {
        Some(origin) => is_own_origin(app, origin, text("host")),
        None => !headers.contains_key("origin") && site == Some("same-origin"),
    };
    if is_ours && site.is_none_or(|site| site == "same-origin") {
        return Ok(());
    }
    Err(Fault::told(
        StatusCode::FORBIDDEN,
        say!(
            "This did not come from a page of the console. Behind a proxy, set console.public_origin."
        ),
    ))
}

fn is_own_origin(app: &App, origin: &str, host: Option<&str>) -> bool {
    if let Some(public) = &app.config.console.public_origin {
        return origin == public;
    }
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    rest.is_some() && rest == host
}

/// The token of the cookie that counts here.
pub(super) fn session_token(app: &App, headers: &HeaderMap) -> Option<Token> {
    let name = if is_local(app, headers) {
        LOCAL_COOKIE
    } else {
        SECURE_COOKIE
    };
    cookie(headers, name).map(|token| Token::given(&token))
}

/// The header that gives a browser the token, or takes it away.
pub(super) fn session_cookie(
    app: &App,
    headers: &HeaderMap,
    token: Option<&Token>,
) -> Option<HeaderValue> {
    let (name, secure) = if is_local(app, headers) {
        (LOCAL_COOKIE, "")
    } else {
        (SECURE_COOKIE, " Secure;")
    };
    let age = if token.is_some() { "" } else { " Max-Age=0;" };
    let token = token.map(Token::expose).unwrap_or_default();
    let text = format!("{name}={token}; Path=/;{age}{secure} HttpOnly; SameSite=Strict");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Does the browser sit on this machine, with no proxy and no https between?
pub(super) fn is_local(app: &App, headers: &HeaderMap) -> bool {
    if let Some(public) = &app.config.console.public_origin {
        return public.starts_with("http://");
    }
    let is_forwarded = ["forwarded", "x-forwarded-proto", "x-forwarded-for"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    let is_loopback =
        name.is_some_and(|name| ["127.0.0.1", "localhost", "[::1]"].contains(&name.host()));
    is_loopback && !is_forwarded
}

pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    Some(value.to_owned())
}
