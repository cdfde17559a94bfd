use std::fmt;

use http::Method;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::catalogue::Category;
use crate::transport::Request;
use crate::{AccountToken, Error, MergeClient};

/// Who is about to link what.
#[derive(Clone, Serialize)]
pub struct LinkTokenRequest {
    /// Our id of the connection, one for each; permanent at Merge. The same id again means the same account: a relink.
    pub end_user_origin_id: String,
    /// The customer's name.
    pub end_user_organization_name: String,
    /// For identification only; no mail is sent.
    pub end_user_email_address: String,
    /// What the dialog offers; at least one.
    pub categories: Vec<Category>,
    /// The slug of one integration, to skip the dialog's picker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
}

impl fmt::Debug for LinkTokenRequest {
    /// Leaves out the person and the customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTokenRequest")
            .field("end_user_origin_id", &self.end_user_origin_id)
            .field("categories", &self.categories)
            .field("integration", &self.integration)
            .finish_non_exhaustive()
    }
}

/// What opens the linking dialog once. Lives about 30 minutes at Merge; never to be stored or reused.
#[derive(Debug, Deserialize)]
pub struct LinkToken {
    /// The token.
    pub link_token: SecretString,
    /// The integration's name, for a link to a single one.
    #[serde(default)]
    pub integration_name: Option<String>,
    /// An address that opens the dialog by itself, when asked for; whoever has it can link.
    #[serde(default)]
    pub magic_link_url: Option<SecretString>,
}

/// What a public token was exchanged for.
#[derive(Debug, Deserialize)]
#[serde(from = "RawExchange")]
pub struct Exchanged {
    /// The linked account's secret.
    pub account_token: AccountToken,
    /// Merge's id of the linked account.
    pub linked_account_id: Option<String>,
    /// Such as `BambooHR`.
    pub integration_name: Option<String>,
    /// Such as `bamboohr`.
    pub integration_slug: Option<String>,
}

impl MergeClient {
    /// Makes a link token, `POST /integrations/create-link-token`. Harmless to repeat.
    ///
    /// # Errors
    /// [`Error::Rejected`] when a field does not suit Merge; the others as everywhere.
    pub async fn create_link_token(&self, request: &LinkTokenRequest) -> Result<LinkToken, Error> {
        Request::new(self, Method::POST, "integrations/create-link-token")
            .json(request)
            .send()
            .await?
            .json()
    }

    /// Exchanges the public token that the dialog handed to the browser,
    /// `GET /integrations/account-token/{public_token}`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Rejected`] for a token that is used up or was never one.
    pub async fn exchange_public_token(
        &self,
        public_token: &SecretString,
    ) -> Result<Exchanged, Error> {
        Request::new(self, Method::GET, "integrations/account-token")
            .secret_segment(public_token)?
            .send()
            .await?
            .json()
    }
}

#[derive(Deserialize)]
struct RawExchange {
    account_token: AccountToken,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    integration: Integration,
}

impl From<RawExchange> for Exchanged {
    fn from(raw: RawExchange) -> Self {
        Self {
            account_token: raw.account_token,
            linked_account_id: raw.id,
            integration_name: raw.integration.name,
            integration_slug: raw.integration.slug,
        }
    }
}

/// An integration as an answer names it: an object here, a bare display name there, or null.
#[derive(Default)]
pub(crate) struct Integration {
    pub(crate) name: Option<String>,
    pub(crate) slug: Option<String>,
}

impl<'de> Deserialize<'de> for Integration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Object {
                #[serde(default)]
                name: Option<String>,
                #[serde(default)]
                slug: Option<String>,
            },
            Name(Option<String>),
        }

        Ok(match Form::deserialize(deserializer)? {
            Form::Object { name, slug } => Self { name, slug },
            Form::Name(name) => Self { name, slug: None },
        })
    }
}
