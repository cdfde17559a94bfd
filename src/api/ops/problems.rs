//! What cannot be done, as a problem.

use crate::api::problem::{Kind, Problem};
use crate::ops::{Deed, Error, Role, access::scope_of, words::sentence};

/// The key has none of the scopes that give a role.
pub(super) fn no_scope(deed: Option<Deed>) -> Problem {
    let scope = scope_of(deed.map_or(Role::Viewer, Deed::needs));
    let detail = format!("This needs a key with the scope `{scope}`.");
    Problem::new(Kind::MissingScope, detail)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = sentence(&error);
        match error {
            Error::Forbidden { deed, .. } => {
                let scope = scope_of(deed.needs());
                let detail = format!("{detail} Take a key with the scope `{scope}`.");
                Self::new(Kind::MissingScope, detail)
            }
            Error::Refused(_) => Self::new(Kind::NotAsItStands, detail),
            Error::Missing(_) => Self::new(Kind::NotFound, detail),
            Error::Queue(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
