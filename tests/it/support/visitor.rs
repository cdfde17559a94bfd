//! Somebody at the console, as their browser sends it.

use http::Method;

use super::{Call, NewKey, TestApp, answer::Answer};

/// Where the console is, as a browser on this machine says.
pub(crate) const ORIGIN: &str = "http://127.0.0.1:8080";
const HOST: &str = "127.0.0.1:8080";

/// A session.
pub(crate) struct Visitor<'a> {
    app: &'a TestApp,
    /// `name=value`
    pub(crate) cookie: String,
    /// What forms send back.
    pub(crate) token: String,
}

/// A request of a browser, without a cookie.
pub(crate) fn browse(method: Method, path: &str) -> Call {
    let is_reading = method == Method::GET;
    let call = Call::new(method, path)
        .without("authorization")
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded");
    if is_reading {
        call
    } else {
        call.header("origin", ORIGIN)
    }
}

/// Fields as a form has them.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

/// What a login's answer says the cookie is.
pub(crate) fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_default();
    cookie.split(';').next().unwrap_or_default().to_owned()
}

impl TestApp {
    /// Logs in with an API key that has these scopes.
    pub(crate) async fn visitor(&self, scopes: &[&str]) -> Visitor<'_> {
        let key = self
            .key(NewKey {
                scopes,
                ..NewKey::default()
            })
            .await;
        self.visitor_with(&[("key", &key)]).await
    }

    /// Logs in.
    pub(crate) async fn visitor_with(&self, fields: &[(&str, &str)]) -> Visitor<'_> {
        let login = browse(Method::POST, "/console/login").text(&form(fields));
        let answer = self.call(login).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self.visitor_of(cookie_of(&answer)).await
    }

    /// The session of a cookie.
    pub(crate) async fn visitor_of(&self, cookie: String) -> Visitor<'_> {
        let mut visitor = Visitor {
            app: self,
            cookie,
            token: String::new(),
        };
        let page = visitor.get("search").await.page();
        let rest = page.split(r#"name="token" value=""#).nth(1).unwrap();
        rest.split('"')
            .next()
            .unwrap()
            .clone_into(&mut visitor.token);
        visitor
    }
}

impl Visitor<'_> {
    /// Looks at a page; its address without `/console/`.
    pub(crate) async fn get(&self, page: &str) -> Answer {
        let path = format!("/console/{page}");
        let call = browse(Method::GET, &path).header("cookie", &self.cookie);
        self.app.call(call).await
    }

    /// Sends a form of this session.
    pub(crate) async fn post(&self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [fields, &[("token", self.token.as_str())]].concat();
        self.app.call(self.sending(page, &fields)).await
    }

    /// A form with exactly these fields.
    pub(crate) fn sending(&self, page: &str, fields: &[(&str, &str)]) -> Call {
        let path = format!("/console/{page}");
        browse(Method::POST, &path)
            .header("cookie", &self.cookie)
            .text(&form(fields))
    }

    /// Sends a form, and gives the page that the browser is sent to.
    pub(crate) async fn follow(&self, page: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(page, fields).await;
        assert_eq!(answer.status, 303, "{page}: {}", answer.page());
        let location = answer.header("location").unwrap();
        self.get(location.trim_start_matches("../").trim_start_matches("./"))
            .await
            .page()
    }
}

impl Answer {
    /// The body as text.
    pub(crate) fn page(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}
