use chrono::{DateTime, Utc};

use crate::{Phrase, Voice, mark};

/// How a time is told if nothing else is asked for.
const STAMP: &str = mark!("%Y-%m-%d %H:%M:%S UTC");

/// What a phrase is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The same in all languages: a name, an id, what somebody typed.
    Text(String),
    /// A number, of which the last `places` digits stand behind the point.
    Number {
        /// All digits.
        digits: u64,
        /// How many of them stand behind the point.
        places: u8,
    },
    /// A time.
    Time {
        /// The time.
        at: DateTime<Utc>,
        /// How it is written in English; looked up like words.
        pattern: &'static str,
    },
    /// More words of ours.
    Phrase(Phrase),
}

impl Part {
    pub(crate) fn told(&self, voice: &dyn Voice) -> String {
        match self {
            Self::Text(text) => voice.text(text),
            Self::Number { digits, places } => voice.number(*digits, *places),
            Self::Time { at, pattern } => voice.time(*at, pattern),
            Self::Phrase(phrase) => phrase.told(voice),
        }
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Part {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Part {
    fn from(digits: u64) -> Self {
        Self::Number { digits, places: 0 }
    }
}

impl From<u32> for Part {
    fn from(digits: u32) -> Self {
        u64::from(digits).into()
    }
}

impl From<u16> for Part {
    fn from(digits: u16) -> Self {
        u64::from(digits).into()
    }
}

/// Of what is counted; there is nothing below zero.
impl From<i64> for Part {
    fn from(digits: i64) -> Self {
        digits.unsigned_abs().into()
    }
}

impl From<DateTime<Utc>> for Part {
    fn from(at: DateTime<Utc>) -> Self {
        Self::Time { at, pattern: STAMP }
    }
}

impl From<Phrase> for Part {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}
