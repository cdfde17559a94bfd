//! Link tokens and public tokens: both good for one use and for a while.

use std::collections::HashMap;
use std::time::Duration;

use merge_client::catalogue::Category;
use uuid::Uuid;

use crate::clock::{Micros, micros};
use crate::dice::Dice;
use crate::integrations::Integration;

/// How long a public token can be exchanged. Merge does not say; ten minutes is our assumption.
const PUBLIC_TOKEN_LIFE: Duration = Duration::from_mins(10);

/// What a link token was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) end_user_origin_id: String,
    pub(crate) end_user_organization_name: String,
    pub(crate) end_user_email_address: String,
    pub(crate) categories: Vec<Category>,
    pub(crate) integration: Option<&'static Integration>,
    pub(crate) expires_at: Micros,
}

#[derive(Debug)]
pub(crate) struct Links {
    dice: Dice,
    made: u64,
    open: HashMap<String, Link>,
    public: HashMap<String, (Uuid, Micros)>,
}

impl Links {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed).named("links"),
            made: 0,
            open: HashMap::new(),
            public: HashMap::new(),
        }
    }

    /// A fresh link token.
    pub(crate) fn open(&mut self, link: Link) -> String {
        let token = self.token("lt");
        self.open.insert(token.clone(), link);
        token
    }

    /// The link of a token that can still be used; using it is another call.
    pub(crate) fn find(&self, link_token: &str, now: Micros) -> Option<&Link> {
        self.open
            .get(link_token)
            .filter(|link| link.expires_at > now)
    }

    /// Ends a link token's life; `None` when it was ended already.
    pub(crate) fn take(&mut self, link_token: &str) -> Option<Link> {
        self.open.remove(link_token)
    }

    /// Takes back that a link token was used.
    pub(crate) fn put_back(&mut self, link_token: &str, link: Link) {
        self.open.insert(link_token.to_owned(), link);
    }

    /// A fresh public token for that account.
    pub(crate) fn publish(&mut self, account_id: Uuid, now: Micros) -> String {
        let token = self.token("pt");
        self.public
            .insert(token.clone(), (account_id, now + micros(PUBLIC_TOKEN_LIFE)));
        token
    }

    /// The account of a public token, if `accepts` says so. The token is used up by that.
    pub(crate) fn exchange(
        &mut self,
        public_token: &str,
        now: Micros,
        accepts: impl FnOnce(Uuid) -> bool,
    ) -> Option<Uuid> {
        let (account_id, expires_at) = *self.public.get(public_token)?;
        if expires_at <= now || !accepts(account_id) {
            return None;
        }
        self.public.remove(public_token);
        Some(account_id)
    }

    fn token(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{}", self.dice.at(self.made).token())
    }
}
