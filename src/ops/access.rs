//! Who is it: passwords, keys, sessions.
//!
//! A session's token is 256 random bits in a cookie; here only its SHA-256 is kept. Another token of the same session, to
//! be sent back with each form, is made from the first, so nobody who does not have the cookie can tell it. Roles are
//! asked for at each request: see `store::sessions`.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use store::audit::{self, NewEntry};
use store::sessions::{self, Holder, Limits, Owner};
use store::{api_keys, users};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::{Actor, Deed, Error, Role};
use crate::api::ApiKey;
use crate::app::App;

/// Passwords looked at at once: each takes a core, and 19 MiB.
static LOOKING: Semaphore = Semaphore::const_new(2);

/// Shortest password that somebody may choose.
const MIN_PASSWORD_CHARS: usize = 12;
/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 500;
/// Longest name.
const MAX_NAME_CHARS: usize = 100;

/// The hash of nothing anybody knows: a name that nobody has takes as long as one that somebody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3luY2xpbmUtbm9ib2R5$\
                      Xqf1kRYFXMGkf7Y9h2dHkrfFQG6iZ1Oe0b9Y6RyzXvM";

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such user, or another password; or no such key. Which, nobody is told.
    #[error("that is not a name and password, or an API key, that is known here")]
    Unknown,
    /// Too many failures under this name.
    #[error("too many attempts; try again in {} s", after.as_secs() + 1)]
    TooSoon {
        /// How long to wait.
        after: Duration,
    },
    /// The key is valid, but is for something else.
    #[error("this key {0}")]
    Unfit(&'static str),
    /// A proxy names somebody who is no user here.
    #[error(
        "`{name}` is no user here; an admin can add them: syncline users add {name} --role viewer"
    )]
    Stranger {
        /// Whom it names.
        name: String,
    },
    /// Our own trouble.
    #[error(transparent)]
    Trouble(#[from] Error),
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Trouble(error.into())
    }
}

/// The token of a session, as it is in the cookie.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    fn generate() -> Self {
        let secret: [u8; 32] = rand::random();
        Self(URL_SAFE_NO_PAD.encode(secret).into())
    }

    /// As it came in a cookie.
    pub fn given(text: &str) -> Self {
        Self(text.to_owned().into())
    }

    /// To be put into a cookie.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What each form of the session has to send back.
    pub fn of_forms(&self) -> String {
        let digest = Sha256::new_with_prefix("syncline console form:")
            .chain_update(self.expose())
            .finalize();
        URL_SAFE_NO_PAD.encode(digest)
    }

    /// Was this sent back by a form of the session?
    pub fn is_of_forms(&self, given: &str) -> bool {
        self.of_forms().as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }
}

/// Somebody at one request.
#[derive(Debug, Clone)]
pub struct Present {
    /// Who.
    pub actor: Actor,
    /// What the last change came to.
    pub notice: Option<String>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Lets somebody in by name and password.
///
/// # Errors
/// [`Refusal`]; a failure is counted for its name, whether or not somebody has it.
pub async fn log_in(app: &App, name: &str, password: &SecretString) -> Result<Token, Refusal> {
    let name = name.trim().to_lowercase();
    if check_name(&name).is_err() || password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return Err(Refusal::Unknown);
    }
    let mut conn = app.pool.acquire().await?;
    let after = users::login_wait(&mut conn, &name).await?;
    if !after.is_zero() {
        return Err(Refusal::TooSoon { after });
    }
    let known = users::credentials(&mut conn, &name).await?;
    // Nobody waits for this connection while a core is busy with the password.
    drop(conn);
    let hash = known.as_ref().map_or(NOBODY, |known| &known.password_hash);
    let is_right = is_password(password.clone(), hash.to_owned()).await?;
    let Some(user) = known.filter(|_| is_right) else {
        let mut conn = app.pool.acquire().await?;
        users::note_failed_login(&mut conn, &name).await?;
        return Err(Refusal::Unknown);
    };
    let mut tx = app.pool.begin().await?;
    users::note_login(&mut tx, user.id).await?;
    let token = begin(&mut tx, Owner::User(user.id), app).await?;
    tx.commit().await?;
    Ok(token)
}

/// Lets somebody in whom a proxy names that is trusted.
///
/// # Errors
/// [`Refusal::Stranger`] for whom nobody added.
pub async fn log_in_by_proxy(app: &App, name: &str) -> Result<Token, Refusal> {
    let mut tx = app.pool.begin().await?;
    let known = match check_name(name) {
        Ok(()) => users::credentials(&mut tx, name).await?,
        Err(_) => None,
    };
    let name = name.to_owned();
    let user = known.ok_or(Refusal::Stranger { name })?;
    users::note_login(&mut tx, user.id).await?;
    let token = begin(&mut tx, Owner::User(user.id), app).await?;
    tx.commit().await?;
    Ok(token)
}

/// Lets somebody in by an API key, with the role that its scopes give.
///
/// # Errors
/// [`Refusal`], also for a key of one organization: the console shows all.
pub async fn log_in_with_key(app: &App, key: &SecretString) -> Result<Token, Refusal> {
    let given = key.expose_secret().trim();
    let mut tx = app.pool.begin().await?;
    let owner = match bootstrap_hash(app) {
        Some(hash) if Sha256::digest(given).ct_eq(&hash).into() => Owner::Bootstrap(hash),
        _ => {
            let key = ApiKey::parse(given).ok_or(Refusal::Unknown)?;
            let row = api_keys::find_valid(&mut tx, &key.digest())
                .await?
                .ok_or(Refusal::Unknown)?;
            if row.organization_id.is_some() {
                return Err(Refusal::Unfit(mark!(
                    "is for one organization; the console shows all"
                )));
            }
            role_of(&row.scopes).ok_or(Refusal::Unfit(mark!(
                "has neither of the scopes read, operate and admin"
            )))?;
            api_keys::touch(&mut tx, row.id).await?;
            Owner::Key(row.id)
        }
    };
    let token = begin(&mut tx, owner, app).await?;
    tx.commit().await?;
    Ok(token)
}

async fn begin(tx: &mut PgConnection, owner: Owner, app: &App) -> Result<Token, Refusal> {
    let token = Token::generate();
    sessions::delete_over(tx, limits(app)).await?;
    sessions::begin(tx, &token.digest(), owner).await?;
    let session = sessions::find(tx, &token.digest(), limits(app)).await?;
    let actor = session.and_then(|session| actor(app, session.holder));
    let actor = actor.ok_or(Refusal::Unknown)?;
    note(tx, &actor, Deed::LogIn).await?;
    Ok(token)
}

/// Ends a session.
///
/// # Errors
/// [`Error`] of the database.
pub async fn log_out(app: &App, token: &Token, actor: &Actor) -> Result<(), Error> {
    let mut tx = app.pool.begin().await?;
    sessions::end(&mut tx, &token.digest()).await?;
    note(&mut tx, actor, Deed::LogOut).await?;
    Ok(tx.commit().await?)
}

/// Ends the session that was there before a login: no token outlives a change of who has it.
///
/// # Errors
/// [`Error`] of the database.
pub async fn forget(app: &App, token: &Token) -> Result<(), Error> {
    let mut conn = app.pool.acquire().await?;
    Ok(sessions::end(&mut conn, &token.digest()).await?)
}

async fn note(tx: &mut PgConnection, actor: &Actor, deed: Deed) -> Result<(), Error> {
    let entry = NewEntry {
        actor: &actor.name,
        role: actor.role,
        action: deed.as_str(),
        target: &actor.name,
        reason: None,
        detail: json!({}),
    };
    audit::append(tx, entry).await?;
    Ok(())
}

/// Who has this session now; `None` when it is over, or may do nothing any more.
///
/// # Errors
/// [`Error`] of the database.
pub async fn who(app: &App, token: &Token) -> Result<Option<Present>, Error> {
    let mut conn = app.pool.acquire().await?;
    let session = sessions::find(&mut conn, &token.digest(), limits(app)).await?;
    Ok(session.and_then(|session| {
        Some(Present {
            actor: actor(app, session.holder)?,
            notice: session.notice,
            now: session.now,
        })
    }))
}

/// Says what the next page of the session is to tell; `None`: it was told.
///
/// # Errors
/// [`Error`] of the database.
pub async fn tell(app: &App, token: &Token, notice: Option<&str>) -> Result<(), Error> {
    let mut conn = app.pool.acquire().await?;
    Ok(sessions::set_notice(&mut conn, &token.digest(), notice).await?)
}

fn actor(app: &App, holder: Holder) -> Option<Actor> {
    match holder {
        Holder::User { name, role } => Some(Actor { name, role }),
        Holder::Key {
            name,
            prefix,
            scopes,
        } => Some(Actor {
            name: key_name(&name, &prefix),
            role: role_of(&scopes)?,
        }),
        Holder::Bootstrap(hash) => (bootstrap_hash(app) == Some(hash)).then(|| Actor {
            name: BOOTSTRAP.to_owned(),
            role: Role::Admin,
        }),
    }
}

/// How the key of the settings is named where people read what was done.
pub(crate) const BOOTSTRAP: &str = "bootstrap key";

/// The same for any other key.
pub(crate) fn key_name(name: &str, prefix: &str) -> String {
    format!("key {name} ({prefix}…)")
}

/// The least scope that gives a role.
pub(crate) const fn scope_of(role: Role) -> &'static str {
    match role {
        Role::Viewer => "read",
        Role::Operator => "operate",
        Role::Admin => "admin",
    }
}

/// The role that a key's scopes give to who operates the service.
pub(crate) fn role_of(scopes: &[String]) -> Option<Role> {
    let has = |scope| scopes.iter().any(|held| held == scope);
    if has("admin") {
        Some(Role::Admin)
    } else if has("operate") {
        Some(Role::Operator)
    } else if has("read") {
        Some(Role::Viewer)
    } else {
        None
    }
}

fn bootstrap_hash(app: &App) -> Option<[u8; 32]> {
    let key = app.config.http.api_key.as_ref()?;
    Some(Sha256::digest(key.expose_secret()).into())
}

fn limits(app: &App) -> Limits {
    Limits {
        idle: app.config.console.session_idle,
        total: app.config.console.session_total,
    }
}

/// Checks a name that somebody is to have.
///
/// # Errors
/// What it has to be.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@+-".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts_well && name.len() <= MAX_NAME_CHARS && name.chars().all(is_fine) {
        return Ok(());
    }
    Err(mark!(
        "a name is 1 to 100 lower-case letters, digits, or any of . _ @ + -, and begins with a letter or digit"
    ))
}

/// What is stored of a password.
///
/// # Errors
/// [`Error::Refused`] when it is too short or too long.
pub(super) async fn hash_password(password: SecretString) -> Result<String, Error> {
    let length = password.expose_secret().chars().count();
    if length < MIN_PASSWORD_CHARS || password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return Err(Error::Refused(say!(
            "a password has at least {characters} characters, and at most {bytes} bytes",
            characters = MIN_PASSWORD_CHARS as u64,
            bytes = MAX_PASSWORD_BYTES as u64
        )));
    }
    let hashing = busy(move || {
        let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
        hash.map(|hash| hash.to_string())
    });
    let hashed = hashing.await?;
    hashed.map_err(|error| {
        Error::Refused(say!(
            "the password cannot be hashed: {error}",
            error = error.to_string()
        ))
    })
}

async fn is_password(password: SecretString, hash: String) -> Result<bool, Error> {
    busy(move || {
        let Ok(hash) = PasswordHash::new(&hash) else {
            return false;
        };
        let password = password.expose_secret().as_bytes();
        Argon2::default().verify_password(password, &hash).is_ok()
    })
    .await
}

/// Does what keeps a core busy where it keeps nobody else waiting.
async fn busy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let _turn = LOOKING.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Refused(say!("the process is ending; try again")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let password = || SecretString::from("correct horse battery");
        let hash = hash_password(password()).await.unwrap();

        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password(password(), hash.clone()).await.unwrap());
        let other = SecretString::from("correct horse batterx");
        assert!(!is_password(other, hash).await.unwrap());
        assert!(hash_password("short".into()).await.is_err());
    }

    #[test]
    fn the_hash_of_nobody_is_one_and_costs_as_much_as_others() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = nobody.params.to_string();
        assert_eq!(params, "m=19456,t=2,p=1");
    }

    #[test]
    fn the_token_of_forms_is_of_one_session() {
        let (token, other) = (Token::generate(), Token::generate());

        assert!(token.is_of_forms(&token.of_forms()));
        assert!(!token.is_of_forms(&other.of_forms()));
        assert!(!token.is_of_forms(""));
        assert!(!token.of_forms().contains(token.expose()));
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn names_are_plain() {
        for name in ["anna", "a", "0", "anna.b@x-y.example+1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Anna", "-a", "a b", "ä", "a\n", &"a".repeat(101)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn scopes_give_roles() {
        let role = |scopes: &[&str]| {
            let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            role_of(&scopes)
        };
        assert_eq!(role(&["link"]), None);
        assert_eq!(role(&["link", "read"]), Some(Role::Viewer));
        assert_eq!(role(&["operate", "read"]), Some(Role::Operator));
        assert_eq!(role(&["admin"]), Some(Role::Admin));
        for known in Role::ALL {
            assert_eq!(role(&[scope_of(known)]), Some(known));
        }
    }
}
