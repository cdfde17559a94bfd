//! How templates tell what is ours: in the reader's language.
//!
//! | in a template | is told |
//! |---|---|
//! | `{{ "Due"\|t }}` | words that stand in the template; they may have tags in them |
//! | `{{ sentence }}`, a [`Said`] | words that were made in the code, with what they are about |
//! | `{{ sentence\|plain }}` | the same without any tag, for an attribute |
//! | `{{ state\|word }}` | a word that is kept as text: the name of a state |
//! | `{{ name }}` | as it is: nothing of ours |

use std::{borrow::Cow, fmt};

use askama::{
    FastWritable, Values,
    filters::{Escaper as _, Html, HtmlSafe, Safe},
};
use chrono::{DateTime, SecondsFormat, Utc};
use phrases::{Phrase, Voice};

use super::language::{Language, Reader};

/// The name under which templates find the reader.
pub(super) const READER: &str = "reader";

/// Words of ours, and what they are about: told when they are rendered, in the reader's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said(Phrase);

impl Said {
    /// There is nothing to be told.
    pub(super) fn nothing() -> Self {
        Phrase::verbatim("–").into()
    }

    pub(super) fn told(&self, language: &Language) -> String {
        self.0.told(language)
    }
}

impl From<Phrase> for Said {
    fn from(phrase: Phrase) -> Self {
        Self(phrase)
    }
}

/// In English.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.told(&Markup {
            language: Reader::default().language,
            has_tags: false,
        }))
    }
}

/// What it is about is escaped.
impl HtmlSafe for Said {}

impl FastWritable for Said {
    fn write_into(&self, dest: &mut dyn fmt::Write, values: &dyn Values) -> askama::Result<()> {
        let markup = Markup {
            language: reader(values).language,
            has_tags: false,
        };
        Ok(dest.write_str(&self.0.told(&markup))?)
    }
}

/// Who reads this page.
pub(super) fn reader(values: &dyn Values) -> Reader {
    askama::get_value::<Reader>(values, READER).map_or_else(|_| Reader::default(), |found| *found)
}

/// Tells phrases as HTML.
struct Markup {
    language: &'static Language,
    /// Whether the words have tags in them.
    has_tags: bool,
}

impl Voice for Markup {
    fn words<'a>(&'a self, phrase: &'a Phrase) -> Cow<'a, str> {
        let words = self.language.words(phrase);
        if self.has_tags {
            words
        } else {
            Cow::Owned(escaped(&words))
        }
    }

    fn text(&self, text: &str) -> String {
        escaped(&self.language.text(text))
    }

    fn number(&self, digits: u64, places: u8) -> String {
        self.language.number(digits, places)
    }

    /// With the time itself for programs: the script tells it in the reader's zone.
    fn time(&self, at: DateTime<Utc>, pattern: &'static str) -> String {
        let machine = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let told = self.language.time(at, pattern);
        format!(r#"<time class="exact" datetime="{machine}">{told}</time>"#)
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // A string takes everything.
    let _ = Html.write_escaped_str(&mut escaped, text);
    escaped
}

/// Words that stand in a template.
pub(super) trait Words {
    fn phrase(self) -> Phrase;
}

impl Words for &'static str {
    fn phrase(self) -> Phrase {
        Phrase::new(self)
    }
}

impl Words for Phrase {
    fn phrase(self) -> Phrase {
        self
    }
}

/// The filters of all templates.
#[expect(
    clippy::inline_always,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    unreachable_pub,
    reason = "so askama makes filters"
)]
pub(super) mod filters {
    use std::fmt::Display;

    use super::{Cow, Markup, Phrase, Safe, Said, Values, Words, escaped, reader};

    /// Words that stand in the template, and may have tags in them.
    #[askama::filter_fn]
    pub(crate) fn t(words: impl Words, values: &dyn Values) -> askama::Result<Safe<String>> {
        let markup = Markup {
            language: reader(values).language,
            has_tags: true,
        };
        Ok(Safe(words.phrase().told(&markup)))
    }

    /// Words with a part.
    #[askama::filter_fn]
    pub(crate) fn with<P: Display>(
        words: impl Words,
        _: &dyn Values,
        name: &'static str,
        part: P,
    ) -> askama::Result<Phrase> {
        Ok(words.phrase().with(name, part.to_string()))
    }

    /// The link in words, `<a>`, leads to this page.
    #[askama::filter_fn]
    pub(crate) fn link(
        words: Safe<String>,
        _: &dyn Values,
        root: &str,
        page: &'static str,
    ) -> askama::Result<Safe<String>> {
        let link = format!(r#"<a href="{}{page}">"#, escaped(root));
        Ok(Safe(words.0.replace("<a>", &link)))
    }

    /// What was said, without any tag.
    #[askama::filter_fn]
    pub(crate) fn plain(said: &Said, values: &dyn Values) -> askama::Result<String> {
        Ok(said.told(reader(values).language))
    }

    /// A word that is kept as text.
    #[askama::filter_fn]
    pub(crate) fn word(word: impl AsRef<str>, values: &dyn Values) -> askama::Result<String> {
        let language = reader(values).language;
        let told: Cow<'_, str> = language.word(word.as_ref());
        Ok(told.into_owned())
    }
}
