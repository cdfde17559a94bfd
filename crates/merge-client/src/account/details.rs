use std::fmt;

use http::Method;
use serde::{Deserialize, Deserializer};

use super::Account;
use crate::Error;
use crate::link::Integration;

/// What Merge says about a linked account. Everything may be missing.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AccountDetails {
    /// Merge's id of the linked account.
    pub id: Option<String>,
    /// The integration's display name, such as `BambooHR`.
    #[serde(deserialize_with = "integration_name")]
    pub integration: Option<String>,
    /// Such as `bamboohr`.
    pub integration_slug: Option<String>,
    /// As Merge writes it; may be one we do not know.
    pub category: Option<String>,
    /// Our id of the connection, as given with the link token. May be empty for accounts made in Merge's dashboard.
    pub end_user_origin_id: Option<String>,
    /// The customer's name.
    pub end_user_organization_name: Option<String>,
    /// The customer's address.
    pub end_user_email_address: Option<String>,
    /// `COMPLETE`, `INCOMPLETE`, `RELINK_NEEDED`, `IDLE`, or a word yet to come.
    pub status: Option<String>,
    /// `PRODUCTION` or `TEST`.
    pub account_type: Option<String>,
    /// Whether another account has the same credentials; null for test accounts.
    pub is_duplicate: Option<bool>,
    /// When linking was completed, as Merge writes it.
    pub completed_at: Option<String>,
}

impl Account<'_> {
    /// Asks `GET /{category}/v1/account-details`.
    ///
    /// # Errors
    /// [`Error::NotFound`] here means that the account is gone; under a wrong category Merge answers 403 or 404 as well.
    pub async fn details(&self) -> Result<AccountDetails, Error> {
        self.request(Method::GET, "account-details")
            .send()
            .await?
            .json()
    }
}

impl fmt::Debug for AccountDetails {
    /// Leaves out the person and the customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountDetails")
            .field("id", &self.id)
            .field("integration_slug", &self.integration_slug)
            .field("category", &self.category)
            .field("end_user_origin_id", &self.end_user_origin_id)
            .field("status", &self.status)
            .field("account_type", &self.account_type)
            .finish_non_exhaustive()
    }
}

fn integration_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Integration::deserialize(deserializer)?.name)
}
