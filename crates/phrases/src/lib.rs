#![doc = include_str!("../README.md")]

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

mod part;

pub use part::Part;

/// Words of ours, and what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// In English, with `{name}` where a part belongs.
    pattern: &'static str,
    /// The same, for one.
    singular: Option<&'static str>,
    /// Of how many it tells.
    count: Option<u64>,
    parts: Vec<(&'static str, Part)>,
}

/// Somebody who tells phrases, in some language.
pub trait Voice {
    /// The words of a phrase; `{name}` stands where a part belongs.
    fn words<'a>(&'a self, phrase: &'a Phrase) -> Cow<'a, str>;
    /// What is the same in all languages: a name, an id, what somebody typed.
    fn text(&self, text: &str) -> String;
    /// A number, of which the last `places` digits stand behind the point.
    fn number(&self, digits: u64, places: u8) -> String;
    /// A time, by a pattern of `chrono::format::strftime`.
    fn time(&self, at: DateTime<Utc>, pattern: &'static str) -> String;
}

/// The language that phrases are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct English;

impl Phrase {
    /// Words without parts so far; made by [`say!`].
    pub const fn new(pattern: &'static str) -> Self {
        Self {
            pattern,
            singular: None,
            count: None,
            parts: Vec::new(),
        }
    }

    /// Words for one and for several; made by [`plural!`].
    pub const fn counted(singular: &'static str, plural: &'static str, count: u64) -> Self {
        Self {
            pattern: plural,
            singular: Some(singular),
            count: Some(count),
            parts: Vec::new(),
        }
    }

    /// What is the same in all languages.
    pub fn verbatim(text: impl Into<String>) -> Self {
        Self::new("{text}").with("text", text.into())
    }

    /// With a part that belongs where its name stands.
    #[must_use]
    pub fn with(mut self, name: &'static str, part: impl Into<Part>) -> Self {
        self.parts.push((name, part.into()));
        self
    }

    /// What catalogues know it by: the English words, those for one if there are two.
    pub fn key(&self) -> &'static str {
        self.singular.unwrap_or(self.pattern)
    }

    /// Of how many it tells, if its words depend on that.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// The English words.
    pub fn english(&self) -> &'static str {
        match (self.singular, self.count) {
            (Some(singular), Some(1)) => singular,
            _ => self.pattern,
        }
    }

    /// In this voice.
    pub fn told(&self, voice: &dyn Voice) -> String {
        fill(&voice.words(self), |name| {
            let (_, part) = self.parts.iter().find(|(known, _)| *known == name)?;
            Some(part.told(voice))
        })
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.told(&English))
    }
}

/// In English.
impl Serialize for Phrase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Phrase> for String {
    fn from(phrase: Phrase) -> Self {
        phrase.to_string()
    }
}

impl Voice for English {
    fn words<'a>(&'a self, phrase: &'a Phrase) -> Cow<'a, str> {
        Cow::Borrowed(phrase.english())
    }

    fn text(&self, text: &str) -> String {
        text.to_owned()
    }

    fn number(&self, digits: u64, places: u8) -> String {
        let unit = 10_u64.pow(places.into());
        let (whole, rest) = (grouped(digits / unit), digits % unit);
        match usize::from(places) {
            0 => whole,
            places => format!("{whole}.{rest:0places$}"),
        }
    }

    fn time(&self, at: DateTime<Utc>, pattern: &'static str) -> String {
        at.format(pattern).to_string()
    }
}

/// With a comma between each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Puts each part where its name stands; a name that nobody knows is left as it is.
fn fill(words: &str, part: impl Fn(&str) -> Option<String>) -> String {
    let mut told = String::with_capacity(words.len() + 32);
    let mut rest = words;
    while let Some((before, from_name)) = rest.split_once('{') {
        told.push_str(before);
        let found = from_name.split_once('}');
        let found = found.and_then(|(name, after)| Some((part(name)?, after)));
        if let Some((part, after)) = found {
            told.push_str(&part);
            rest = after;
        } else {
            told.push('{');
            rest = from_name;
        }
    }
    told + rest
}

/// Words of ours, and what they are about: `say!("The queue {queue} is paused.", queue = name)`. A variable of the
/// same name need not be repeated.
#[macro_export]
macro_rules! say {
    ($pattern:literal $(, $name:ident $(= $part:expr)?)* $(,)?) => {
        $crate::Phrase::new($pattern)$(.with(stringify!($name), $crate::part!($name $(, $part)?)))*
    };
}

/// As [`say!`], with words for one and for several; the first part is the number of them.
#[macro_export]
macro_rules! plural {
    ($one:literal, $many:literal, $count:ident = $number:expr $(, $name:ident $(= $part:expr)?)* $(,)?) => {{
        let number = u64::from($number);
        $crate::Phrase::counted($one, $many, number)
            .with(stringify!($count), number)
            $(.with(stringify!($name), $crate::part!($name $(, $part)?)))*
    }};
}

/// Marks words that are kept as plain text until they are looked up.
#[macro_export]
macro_rules! mark {
    ($words:literal) => {
        $words
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! part {
    ($name:ident) => {
        $name
    };
    ($name:ident, $part:expr) => {
        $part
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_where_their_names_do() {
        let by = "anna {queue}";
        let phrase = say!(
            "{by} paused {queue} {queue}: {unknown} {",
            by,
            queue = "sync"
        );

        assert_eq!(
            phrase.to_string(),
            "anna {queue} paused sync sync: {unknown} {"
        );
    }

    #[test]
    fn one_is_not_several() {
        let jobs = |jobs: u32| plural!("{jobs} job is", "{jobs} jobs are", jobs = jobs);

        assert_eq!(jobs(1).to_string(), "1 job is");
        assert_eq!(jobs(0).to_string(), "0 jobs are");
        assert_eq!(jobs(12_000).to_string(), "12,000 jobs are");
        assert_eq!(jobs(7).key(), "{jobs} job is");
    }

    #[test]
    fn phrases_may_be_parts_of_phrases() {
        let age = say!(
            "{seconds} s",
            seconds = Part::Number {
                digits: 1_234_050,
                places: 3
            }
        );
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let phrase = say!("At {at}, for {age}.", at, age);

        assert_eq!(
            phrase.to_string(),
            "At 2027-01-15 08:00:00 UTC, for 1,234.050 s."
        );
    }
}
