//! What the benchmark of the sync domain is made of: the far side, accounts, our service, pages by hand.

pub(crate) mod accounts;
pub(crate) mod far_side;
pub(crate) mod pages;
pub(crate) mod syncer;

/// The key that the far side takes.
pub(crate) const API_KEY: &str = "key-of-the-benchmark";
/// What the accounts are.
pub(crate) const CATEGORY: &str = "hris";
/// The models of each account.
pub(crate) const MODELS: [&str; 10] = [
    "hris.Benefit",
    "hris.Company",
    "hris.Dependent",
    "hris.Employee",
    "hris.Employment",
    "hris.Group",
    "hris.Location",
    "hris.PayrollRun",
    "hris.Team",
    "hris.TimeOff",
];
