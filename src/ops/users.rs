//! Who may use the console.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use phrases::{Phrase, mark, say};
use secrecy::SecretString;
use serde_json::json;
use store::users::{self, User};

use super::access::{check_name, hash_password};
use super::{Deed, Error, Ops, Role};

/// A password that nobody has to remember how to make: 160 bits.
pub fn generate_password() -> SecretString {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 20]>()).into()
}

impl Ops {
    /// Adds a user.
    pub async fn add_user(
        &self,
        name: &str,
        role: Role,
        password: SecretString,
    ) -> Result<(), Error> {
        self.demand(Deed::UserAdd)?;
        check_name(name).map_err(|rule| Error::Refused(Phrase::new(rule)))?;
        let hash = hash_password(password).await?;
        let mut change = self.begin(Deed::UserAdd).await?;
        let added = users::add(change.connection(), name, role, &hash).await?;
        added.ok_or_else(|| Error::Refused(say!("there is a user {name} already", name)))?;
        change.done(name, None, json!({ "role": role })).await
    }

    /// The users by name.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        let mut conn = self.pool.acquire().await?;
        Ok(users::list(&mut conn).await?)
    }

    /// Removes a user; their sessions end at once.
    pub async fn remove_user(&self, name: &str) -> Result<(), Error> {
        let mut change = self.begin(Deed::UserRemove).await?;
        if !users::remove(change.connection(), name).await? {
            return Err(Error::Missing(mark!("user")));
        }
        change.done(name, None, json!({})).await
    }

    /// Gives a user another password; their sessions end at once.
    pub async fn set_password(&self, name: &str, password: SecretString) -> Result<(), Error> {
        self.demand(Deed::UserPassword)?;
        let hash = hash_password(password).await?;
        let mut change = self.begin(Deed::UserPassword).await?;
        if !users::set_password(change.connection(), name, &hash).await? {
            return Err(Error::Missing(mark!("user")));
        }
        change.done(name, None, json!({})).await
    }
}
