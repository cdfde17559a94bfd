//! Ids as types of their own, so that a swapped argument does not compile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Makes one id type: a UUID that reads and prints as one, in JSON, SQL and text.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, of UUID version 7: later ones sort after earlier ones.
            #[expect(clippy::new_without_default, reason = "a default id would differ at each call")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// One of our linked accounts; not Merge's id of it.
    AccountId
}
id! {
    /// A slice of time fetched of one model.
    WindowId
}
id! {
    /// A received webhook.
    DeliveryId
}
id! {
    /// A key that the product calls us with.
    ApiKeyId
}
id! {
    /// Where the product wants events sent to.
    EndpointId
}
id! {
    /// Somebody who may use the console.
    UserId
}
