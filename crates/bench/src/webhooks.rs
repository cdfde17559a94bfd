//! What the benchmark of webhooks is made of: receivers, a sender, tables.

pub(crate) mod load;
pub(crate) mod receiver;
pub(crate) mod schema;
