//! A small stand-in for the Link dialog, and for the script that opens it.
//!
//! The page is a plain form and works without scripts. When the script opened it, the page hands over the public token
//! with `postMessage`, as the real dialog does.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Deserialize;

use crate::integrations::Integration;
use crate::links::Link;
use crate::world::World;

const PAGE: &str = include_str!("link_page/page.html");
const SCRIPT: &str = include_str!("link_page/initialize.js");

pub(crate) fn router(world: &Arc<World>) -> Router {
    Router::new()
        .route("/link", get(show).post(submit))
        .route("/initialize.js", get(script))
        .with_state(world.clone())
}

#[derive(Debug, Deserialize)]
struct LinkQuery {
    #[serde(default)]
    link_token: String,
}

#[derive(Debug, Deserialize)]
struct Choice {
    link_token: String,
    #[serde(default)]
    integration: Option<String>,
    action: Action,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Connect,
    Cancel,
}

async fn script() -> Response {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        SCRIPT,
    )
        .into_response()
}

async fn show(State(world): State<Arc<World>>, Query(query): Query<LinkQuery>) -> Response {
    match world.link(&query.link_token) {
        Some(link) => page(
            "Connect your account",
            &form(&query.link_token, &link),
            "{}",
        )
        .into_response(),
        None => expired(),
    }
}

async fn submit(State(world): State<Arc<World>>, Form(choice): Form<Choice>) -> Response {
    match choice.action {
        Action::Cancel => {
            let message = r#"{"type":"link-exit"}"#;
            page(
                "Not connected",
                "<p>Nothing was connected. You can close this window.</p>",
                message,
            )
            .into_response()
        }
        Action::Connect => {
            match world.complete_link(&choice.link_token, choice.integration.as_deref(), None) {
                Ok((public_token, account)) => {
                    let body = format!(
                        "<p>{} is connected. You can close this window.</p><p class=\"quiet\">Public token: <code>{public_token}</code></p>",
                        escaped(account.integration.name),
                    );
                    let message =
                        serde_json::json!({ "type": "link-success", "publicToken": public_token });
                    page("Connected", &body, &message.to_string()).into_response()
                }
                Err(_) => expired(),
            }
        }
    }
}

fn expired() -> Response {
    let message =
        r#"{"type":"link-error","errors":[{"detail":"The link token is not valid any more."}]}"#;
    let body = "<p>This link was used already, or is too old. Go back and begin again.</p>";
    (
        StatusCode::NOT_FOUND,
        page("This link is not valid any more", body, message),
    )
        .into_response()
}

fn form(link_token: &str, link: &Link) -> String {
    let offered = Integration::all()
        .iter()
        .filter(|integration| {
            link.integration
                .is_none_or(|only| only.slug == integration.slug)
        })
        .filter(|integration| {
            link.categories
                .iter()
                .any(|category| integration.offers(*category))
        });
    let mut choices = String::new();
    for (index, integration) in offered.enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        write!(
            choices,
            "<label><input type=\"radio\" name=\"integration\" value=\"{}\"{checked}>\
             <span style=\"background:{}\"></span>{}</label>",
            integration.slug,
            integration.color,
            escaped(integration.name),
        )
        .expect("a String takes every character");
    }
    format!(
        "<form method=\"post\" action=\"/link\"><input type=\"hidden\" name=\"link_token\" value=\"{}\">\
         <p>Choose the system that {} uses.</p><fieldset><legend>System</legend>{choices}</fieldset>\
         <p class=\"buttons\"><button name=\"action\" value=\"connect\">Connect</button>\
         <button name=\"action\" value=\"cancel\" class=\"quiet\">Cancel</button></p></form>",
        escaped(link_token),
        escaped(&link.end_user_organization_name),
    )
}

/// `message` is JSON that the opener gets; it stands in an attribute.
fn page(title: &str, body: &str, message: &str) -> Html<String> {
    Html(
        PAGE.replace("{{title}}", &escaped(title))
            .replace("{{message}}", &escaped(message))
            .replace("{{body}}", body),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
