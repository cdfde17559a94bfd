//! Who may use the console.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use secrecy::{ExposeSecret as _, SecretString};
use store::users::User;

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    jobs::encoded,
    page::{self, Frame},
    shown::When,
    told::filters,
};
use crate::app::App;
use crate::ops::{Role, users::generate_password};

#[derive(Debug, Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    roles: [(&'static str, &'static str); 3],
    users: Vec<UserRow>,
    /// Whose password is shown, now or never.
    new: Option<(String, SecretString)>,
}

#[derive(Debug)]
struct UserRow {
    name: String,
    query: String,
    role: &'static str,
    added: When,
    last_login: Option<When>,
    is_self: bool,
}

impl UserRow {
    fn of(user: User, visit: &Visit, now: DateTime<Utc>) -> Self {
        Self {
            is_self: user.name == visit.actor.name,
            query: encoded(&user.name),
            name: user.name,
            role: user.role.as_str(),
            added: When::new(user.created_at, now),
            last_login: When::maybe(user.last_login_at, now),
        }
    }
}

async fn show(
    app: &App,
    visit: &Visit,
    new: Option<(String, SecretString)>,
) -> Result<Response, Fault> {
    let users = visit.ops(app).users().await?;
    page::render(
        visit.reader,
        &UsersPage {
            frame: Frame::of(visit, "users", say!("Users")),
            roles: Role::ALL.map(|role| (role.as_str(), may(role))),
            users: users
                .into_iter()
                .map(|user| UserRow::of(user, visit, visit.now))
                .collect(),
            new,
        },
    )
}

fn may(role: Role) -> &'static str {
    match role {
        Role::Viewer => mark!("look"),
        Role::Operator => mark!("put things right: retry, cancel, pause, replay"),
        Role::Admin => mark!("everything, also what cannot be undone"),
    }
}

pub(super) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    show(&app, &visit, None).await
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let action: String = parameter(&path, "action", mark!("action"))?;
    let (ops, name) = (visit.ops(&app), form.need("name")?);
    match action.as_str() {
        "add" => {
            let role = form.need("role")?;
            let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
            let role =
                role.ok_or_else(|| Fault::field("role", mark!("must be a role there is")))?;
            let password = generate_password();
            ops.add_user(name, role, password.clone()).await?;
            show(&app, &visit, Some((name.to_owned(), password))).await
        }
        "password" => {
            let password = generate_password();
            ops.set_password(name, password.clone()).await?;
            show(&app, &visit, Some((name.to_owned(), password))).await
        }
        "remove" => {
            ops.remove_user(name).await?;
            let notice = say!("The user is removed; their sessions are over.");
            visit.done(&app, "users", notice).await
        }
        _ => Err(Fault::missing(mark!("action"))),
    }
}
