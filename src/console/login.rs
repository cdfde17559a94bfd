//! In and out.

use askama::Template;
use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use phrases::{Phrase, mark, say};

use super::{
    fault::Fault,
    guard::{self, Form, Theme, Visit},
    language::{self, Reader},
    page, proxy,
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::access::{self, Refusal, Token};
use crate::ops::words::sentence;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage {
    root: String,
    theme: Theme,
    reader: Reader,
    next: String,
    refusal: Option<Said>,
    is_in_the_clear: bool,
    /// Whom a proxy names.
    named: Option<String>,
}

impl LoginPage {
    fn of(app: &App, headers: &HeaderMap, next: &str) -> Self {
        let is_https = headers
            .get("x-forwarded-proto")
            .is_some_and(|proto| proto == "https");
        let has_origin = app.config.console.public_origin.is_some();
        Self {
            root: "./".to_owned(),
            theme: Theme::of(headers),
            reader: Reader::of(headers),
            next: next.to_owned(),
            refusal: None,
            named: None,
            is_in_the_clear: !guard::is_local(app, headers) && !is_https && !has_origin,
        }
    }
}

pub(super) async fn show(State(app): State<App>, request: Request) -> Result<Response, Fault> {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let next = query.text("next").unwrap_or_default();
    let headers = request.headers();
    let mut login = LoginPage::of(&app, headers, next);
    login.named = proxy::named(&app, headers, request.extensions());
    // Who just left is asked first.
    let Some(name) = login
        .named
        .as_deref()
        .filter(|_| query.text("left").is_none())
    else {
        return page::render(login.reader, &login);
    };
    match access::log_in_by_proxy(&app, name).await {
        Ok(token) => let_in(&app, headers, next, &token).await,
        Err(Refusal::Trouble(error)) => Err(error.into()),
        Err(refusal) => refused(login, &refusal),
    }
}

pub(super) async fn log_in(State(app): State<App>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    guard::check_origin(&app, headers)?;
    let form = guard::read_form(headers, body).await?;
    let next = form.text("next").unwrap_or_default();
    let secret = |name| form.text(name).unwrap_or_default().to_owned().into();
    let granted = if form.text("key").is_some() {
        access::log_in_with_key(&app, &secret("key")).await
    } else {
        let name = form.text("name").unwrap_or_default();
        access::log_in(&app, name, &secret("password")).await
    };
    let token = match granted {
        Ok(token) => token,
        Err(Refusal::Trouble(error)) => return Err(error.into()),
        Err(refusal) => return refused(LoginPage::of(&app, headers, next), &refusal),
    };
    let_in(&app, headers, next, &token).await
}

/// Gives a browser its new session, and takes the old one away.
async fn let_in(
    app: &App,
    headers: &HeaderMap,
    next: &str,
    token: &Token,
) -> Result<Response, Fault> {
    if let Some(old) = guard::session_token(app, headers) {
        access::forget(app, &old).await?;
    }
    // Before it stands a dot and a slash: it leads nowhere but below our own address.
    let mut response = page::see_other(&format!("./{next}"));
    put_cookie(app, headers, Some(token), response.headers_mut())?;
    Ok(response)
}

fn refused(mut login: LoginPage, refusal: &Refusal) -> Result<Response, Fault> {
    let told = match refusal {
        Refusal::Unknown => say!("That name and password, or that key, is not known here."),
        Refusal::TooSoon { after } => say!(
            "Too many attempts; try again in {seconds} s.",
            seconds = after.as_secs() + 1
        ),
        Refusal::Unfit(why) => say!("This key {why}.", why = Phrase::new(why)),
        Refusal::Stranger { name } => say!(
            "{name} is no user here; an admin can add them: {command}",
            name,
            command = format!("syncline users add {name} --role viewer"),
        ),
        Refusal::Trouble(error) => Phrase::verbatim(sentence(error)),
    };
    login.refusal = Some(told.into());
    let mut response = page::render(login.reader, &login)?;
    *response.status_mut() = match refusal {
        Refusal::TooSoon { after } => {
            let after = HeaderValue::from(after.as_secs() + 1);
            response.headers_mut().insert(header::RETRY_AFTER, after);
            StatusCode::TOO_MANY_REQUESTS
        }
        Refusal::Unfit(_) | Refusal::Stranger { .. } => StatusCode::FORBIDDEN,
        Refusal::Unknown | Refusal::Trouble(_) => StatusCode::UNAUTHORIZED,
    };
    Ok(response)
}

fn put_cookie(
    app: &App,
    headers: &HeaderMap,
    token: Option<&Token>,
    into: &mut HeaderMap,
) -> Result<(), Fault> {
    let cookie = guard::session_cookie(app, headers, token);
    let cookie = cookie.ok_or_else(|| Fault::missing(mark!("session")))?;
    into.append(header::SET_COOKIE, cookie);
    Ok(())
}

pub(super) async fn log_out(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    access::log_out(&app, &visit.token, &visit.actor).await?;
    let mut response = page::see_other("./login?left=yes");
    put_cookie(&app, &headers, None, response.headers_mut())?;
    Ok(response)
}

/// Light or dark; a matter of this browser, so it needs no session.
pub(super) async fn set_theme(State(app): State<App>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    guard::check_origin(&app, &parts.headers)?;
    let form = guard::read_form(&parts.headers, body).await?;
    let theme = Theme::parse(form.text("theme").unwrap_or_default());
    let next = form.text("next").unwrap_or_default();
    let mut response = page::see_other(&format!("./{next}"));
    response
        .headers_mut()
        .append(header::SET_COOKIE, theme.remember());
    Ok(response)
}

/// Language and zone; a matter of this browser, too.
pub(super) async fn set_reading(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    guard::check_origin(&app, &parts.headers)?;
    let form = guard::read_form(&parts.headers, body).await?;
    let next = form.text("next").unwrap_or_default();
    let mut response = page::see_other(&format!("./{next}"));
    for cookie in language::remember(form.text("language"), form.text("zone")) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
