use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// One of the ten categories this service knows, such as `hris`.
///
/// Merge's answers may name others: read those as text, and ask [`Category::parse`] whether we know them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Category(&'static str);

impl Category {
    /// Employees, payroll, time off.
    pub const HRIS: Self = Self("hris");
    /// Applicants and jobs.
    pub const ATS: Self = Self("ats");
    /// Customers and opportunities.
    pub const CRM: Self = Self("crm");
    /// Ledgers, invoices, payments.
    pub const ACCOUNTING: Self = Self("accounting");
    /// Tickets and their collections.
    pub const TICKETING: Self = Self("ticketing");
    /// Files, folders, drives.
    pub const FILESTORAGE: Self = Self("filestorage");
    /// Articles and their containers.
    pub const KNOWLEDGEBASE: Self = Self("knowledgebase");
    /// Conversations and messages.
    pub const CHAT: Self = Self("chat");
    /// Calendars and events.
    pub const CALENDAR: Self = Self("calendar");
    /// Mailboxes and messages.
    pub const EMAIL: Self = Self("email");

    /// Every category, in the order in which Merge's reference lists them.
    pub const ALL: [Self; 10] = [
        Self::HRIS,
        Self::ATS,
        Self::CRM,
        Self::ACCOUNTING,
        Self::TICKETING,
        Self::FILESTORAGE,
        Self::KNOWLEDGEBASE,
        Self::CHAT,
        Self::CALENDAR,
        Self::EMAIL,
    ];

    /// The category of that name, in any case; `None` when we do not know it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|category| category.0.eq_ignore_ascii_case(name))
    }

    /// The name as it stands in paths and answers, in lower case.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Category({})", self.0)
    }
}

/// The category's name is none of the ten we know.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown category; expected one of hris, ats, crm, accounting, ticketing, filestorage, knowledgebase, chat, \
     calendar, email"
)]
pub struct UnknownCategory;

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name).ok_or(UnknownCategory)
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
