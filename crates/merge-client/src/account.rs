//! The calls about one linked account: they carry both the API key and the account's own token.

mod details;
mod records;
mod sync_status;

use std::fmt;

use http::Method;

pub use self::details::AccountDetails;
pub use self::records::{ListQuery, Page, Record};
pub use self::sync_status::SyncStatus;
pub(crate) use self::sync_status::canonical;
use crate::catalogue::Category;
use crate::transport::Request;
use crate::{AccountToken, Error, MergeClient};

/// One linked account, to be asked about; see [`MergeClient::account`].
#[derive(Clone, Copy)]
pub struct Account<'a> {
    pub(crate) client: &'a MergeClient,
    pub(crate) category: Category,
    pub(crate) token: &'a AccountToken,
}

/// How a deletion ended; both mean that the account is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Merge deleted it now.
    Done,
    /// Merge did not know it any more.
    AlreadyGone,
}

impl Account<'_> {
    /// Deletes the account and its data at Merge, `POST /{category}/v1/delete-account`. Safe to repeat.
    ///
    /// # Errors
    /// As everywhere; 404 is not one of them.
    pub async fn delete(&self) -> Result<Deletion, Error> {
        match self.request(Method::POST, "delete-account").send().await {
            Ok(_) => Ok(Deletion::Done),
            Err(Error::NotFound { .. }) => Ok(Deletion::AlreadyGone),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &str) -> Request<'_> {
        let path = format!("{}/v1/{path}", self.category);
        Request::new(self.client, method, &path).account_token(self.token)
    }
}

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("category", &self.category)
            .finish_non_exhaustive()
    }
}
