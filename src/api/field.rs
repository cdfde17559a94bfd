//! Types of the fields of requests: what a value may be is decided while it is read.
//!
//! Each refuses with a sentence; the `Json` and `Query` extractors add the name of the field.
//! Postgres text cannot hold the NUL character, and no name holds a control character.

use std::{fmt, str::FromStr};

use merge_client::catalogue::Category;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer as _, value},
};

mod schema;

/// Text of 1 to `MAX` characters, not blank, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text itself.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// The text, borrowed.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.chars().count() > MAX {
            return Err(format!("must not be longer than {MAX} characters"));
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// An organization of the product that calls us.
pub(super) type OrganizationId = Text<128>;

/// An e-mail address, checked only for what a typing error breaks: `something@something`.
#[derive(Debug, Clone)]
pub(super) struct Email(String);

impl Email {
    /// The address itself.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = Text::<254>::from_str(text)?.into_string();
        let is_address = text
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if !is_address || text.contains(char::is_whitespace) {
            return Err("must be an e-mail address".to_owned());
        }
        Ok(Self(text))
    }
}

/// A category of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(super) struct CategoryName(pub(super) Category);

impl FromStr for CategoryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Category::parse(text).map(Self).ok_or_else(|| {
            let names: Vec<_> = Category::ALL
                .iter()
                .map(|category| category.as_str())
                .collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

/// A secret that came in a request; never printed.
#[derive(Debug, Clone)]
pub(super) struct Secret(pub(super) SecretString);

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = Text::<1024>::from_str(text)?.into_string();
        Ok(Self(SecretString::from(text)))
    }
}

/// `true` or `false` in a query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flag(pub(super) bool);

impl FromStr for Flag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| "must be true or false".to_owned())
    }
}

/// A place in the feed of events, as it was given: 0 or more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position(pub(super) i64);

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(position @ 0..) => Ok(Self(position)),
            _ => Err("must be a whole number, 0 or more".to_owned()),
        }
    }
}

/// How many things a page holds: 1 to `MAX`, default half of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<const MAX: u16 = 100>(pub(super) u16);

impl<const MAX: u16> Limit<MAX> {
    /// The last thing of a full page, after which the next page begins.
    pub(super) fn last_of_full<T>(self, page: &[T]) -> Option<&T> {
        page.last().filter(|_| page.len() >= usize::from(self.0))
    }
}

impl<const MAX: u16> Default for Limit<MAX> {
    fn default() -> Self {
        Self(MAX / 2)
    }
}

impl<const MAX: u16> FromStr for Limit<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(limit) if (1..=MAX).contains(&limit) => Ok(Self(limit)),
            _ => Err(format!("must be a number from 1 to {MAX}")),
        }
    }
}

/// Values with commas between them.
#[derive(Debug, Clone)]
pub(super) struct Listed<T>(pub(super) Vec<T>);

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let values = text
            .split(',')
            .map(|value| T::deserialize(value.into_deserializer()));
        let values: Result<_, value::Error> = values.collect();
        values.map(Self).map_err(D::Error::custom)
    }
}

/// Reads a string, then the type from it.
struct Parsed<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> serde::de::Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = String>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Parsed(std::marker::PhantomData))
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for CategoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de, const MAX: u16> Deserialize<'de> for Limit<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: FromStr<Err = String>>(text: &str) -> Option<String> {
        T::from_str(text).err()
    }

    #[test]
    fn text_refuses_what_no_name_is_and_postgres_cannot_hold() {
        for wrong in ["", "  ", "a\0b", "line\nbreak", "toolong"] {
            assert!(refusal::<Text<6>>(wrong).is_some(), "{wrong:?}");
        }
        for right in ["a", "Zoë 6", "日本語日本語"] {
            assert_eq!(refusal::<Text<6>>(right), None, "{right:?}");
        }
    }

    #[test]
    fn an_address_needs_an_at_and_no_blanks() {
        for wrong in ["", "a", "@b", "a@", "a b@c", "a@b\u{a0}c"] {
            assert!(refusal::<Email>(wrong).is_some(), "{wrong:?}");
        }
        for right in ["a@b", "it-admin@harborfjord.example", "\"a@b\"@c"] {
            assert_eq!(refusal::<Email>(right), None, "{right:?}");
        }
    }

    #[test]
    fn an_unknown_category_is_told_the_known_ones() {
        let refusal = refusal::<CategoryName>("payroll").unwrap();
        assert!(
            refusal.contains("hris") && refusal.contains("ticketing"),
            "{refusal}"
        );
    }
}
