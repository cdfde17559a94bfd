//! The languages that the console speaks, and which of them somebody reads.
//!
//! Words of ours stand in templates and in the code in English; that is their key. Their translations are in
//! `translations/`, a catalogue for each language, in gettext's format. What is in none is told in English.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, header};
use icu_decimal::{DecimalFormatter, input::Decimal, options::DecimalFormatterOptions};
use icu_locale_core::Locale;
use icu_plurals::{PluralRuleType, PluralRules, PluralRulesOptions};
use phrases::{English, Phrase, Voice, mark};
use polib::message::MessageView;

use super::guard::cookie;

const COOKIE: &str = "syncline-language";

/// Tag, name in its own words, direction, tag for numbers, catalogue. Digits are those of ids and ports everywhere.
const TRANSLATED: [(&str, &str, &str, &str, &str); 2] = [
    (
        "de",
        "Deutsch",
        "ltr",
        "de",
        include_str!("../../translations/de.po"),
    ),
    (
        "ar",
        "العربية",
        "rtl",
        "ar-u-nu-latn",
        include_str!("../../translations/ar.po"),
    ),
];

/// English, what is translated, and the one for developers: see [`Words::Accents`].
static ALL: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let english = Language::of("en", "English", "ltr", "en", Words::English);
    let translated = TRANSLATED
        .into_iter()
        .map(|(tag, name, direction, numbers, catalogue)| {
            let words = Words::Catalogue(read(catalogue));
            Language::of(tag, name, direction, numbers, words)
        });
    let accents = Language::of("en-XA", "Accents", "ltr", "en", Words::Accents);
    std::iter::once(english)
        .chain(translated)
        .chain([accents])
        .collect()
});

/// A language, and how it is written.
#[derive(Debug)]
pub(super) struct Language {
    /// For browsers.
    pub(super) tag: &'static str,
    /// In its own words.
    pub(super) name: &'static str,
    /// `ltr` or `rtl`.
    pub(super) direction: &'static str,
    locale: Locale,
    words: Words,
}

#[derive(Debug)]
enum Words {
    English,
    /// By their English; of those that depend on a number, a form for each category of the language.
    Catalogue(HashMap<String, Vec<String>>),
    /// English with accents: what is shown without any was not made to be translated. Not offered; ask for it by cookie.
    Accents,
}

/// Somebody reads what is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) language: &'static Language,
    pub(super) zone: Zone,
}

/// The zone in which times are shown; the server knows UTC only, the rest the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Utc,
    Local,
}

impl Zone {
    pub(super) const ALL: [Self; 2] = [Self::Utc, Self::Local];
    const COOKIE: &str = "syncline-zone";

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Utc => "utc",
            Self::Local => "local",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Utc => "UTC",
            Self::Local => mark!("local time"),
        }
    }

    /// The header that has a browser remember it.
    fn remember(name: &str) -> HeaderValue {
        HeaderValue::from_static(match name {
            "local" => "syncline-zone=local; Path=/; Max-Age=31536000; SameSite=Strict",
            _ => "syncline-zone=; Path=/; Max-Age=0; SameSite=Strict",
        })
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            language: &ALL[0],
            zone: Zone::Utc,
        }
    }
}

impl Reader {
    /// As they chose, or as their browser says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE).and_then(|tag| Language::find(&tag));
        let asked = headers.get(header::ACCEPT_LANGUAGE);
        let asked = asked.and_then(|asked| asked.to_str().ok());
        let is_local = cookie(headers, Zone::COOKIE).is_some_and(|zone| zone == "local");
        Self {
            language: chosen.unwrap_or_else(|| Language::asked_for(asked.unwrap_or_default())),
            zone: if is_local { Zone::Local } else { Zone::Utc },
        }
    }
}

/// The headers that have a browser remember what was chosen of language and zone.
pub(super) fn remember(language: Option<&str>, zone: Option<&str>) -> Vec<HeaderValue> {
    let language = language.and_then(Language::find).and_then(|language| {
        let tag = language.tag;
        let text = format!("{COOKIE}={tag}; Path=/; Max-Age=31536000; SameSite=Strict");
        HeaderValue::from_str(&text).ok()
    });
    language
        .into_iter()
        .chain(zone.map(Zone::remember))
        .collect()
}

impl Language {
    fn of(
        tag: &'static str,
        name: &'static str,
        direction: &'static str,
        numbers: &str,
        words: Words,
    ) -> Self {
        Self {
            tag,
            name,
            direction,
            locale: numbers.parse().expect("a tag that was written down above"),
            words,
        }
    }

    /// Those that are offered.
    pub(super) fn offered() -> impl Iterator<Item = &'static Self> {
        ALL.iter()
            .filter(|language| !matches!(language.words, Words::Accents))
    }

    fn find(tag: &str) -> Option<&'static Self> {
        ALL.iter().find(|language| language.tag == tag)
    }

    /// The first that is spoken here of those that a browser asks for, by their weight (RFC 9110, 12.5.4).
    fn asked_for(header: &str) -> &'static Self {
        let weighed = header.split(',').map(|range| {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight.trim().strip_prefix("q=").unwrap_or_default();
            (tag.trim(), weight.parse::<f32>().unwrap_or(0.0))
        });
        let mut asked: Vec<_> = weighed.filter(|(_, weight)| *weight > 0.0).collect();
        asked.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let spoken = asked.into_iter().find_map(|(tag, _)| {
            let (main, _) = tag.split_once('-').unwrap_or((tag, ""));
            Self::offered().find(|language| language.tag.eq_ignore_ascii_case(main))
        });
        spoken.unwrap_or(&ALL[0])
    }

    fn is_rtl(&self) -> bool {
        self.direction == "rtl"
    }

    /// Words that are the same whatever they are about.
    pub(super) fn word<'a>(&'a self, english: &'a str) -> Cow<'a, str> {
        self.form(english, english, None)
    }

    fn form<'a>(&'a self, key: &str, english: &'a str, count: Option<u64>) -> Cow<'a, str> {
        match &self.words {
            Words::English => Cow::Borrowed(english),
            Words::Accents => Cow::Owned(accented(english)),
            Words::Catalogue(words) => {
                let forms = words.get(key);
                let form = forms.and_then(|forms| forms.get(self.which(count)));
                Cow::Borrowed(form.map_or(english, String::as_str))
            }
        }
    }

    /// Which of its forms goes with a number: catalogues have them in the order of the categories.
    fn which(&self, count: Option<u64>) -> usize {
        let Some(count) = count else { return 0 };
        let rules = self.plural_rules();
        let category = rules.category_for(count);
        rules
            .categories()
            .position(|known| known == category)
            .unwrap_or_default()
    }

    fn plural_rules(&self) -> PluralRules {
        let options = PluralRulesOptions::default().with_type(PluralRuleType::Cardinal);
        let rules = PluralRules::try_new((&self.locale).into(), options);
        rules.expect("all languages are compiled in")
    }

    /// The forms that words have in it which depend on a number.
    #[cfg(test)]
    fn categories(&self) -> Vec<icu_plurals::PluralCategory> {
        self.plural_rules().categories().collect()
    }
}

impl Voice for Language {
    fn words<'a>(&'a self, phrase: &'a Phrase) -> Cow<'a, str> {
        self.form(phrase.key(), phrase.english(), phrase.count())
    }

    /// Where it is written from right to left, what is not ours has a direction of its own; with accents, it is told
    /// from what is.
    fn text(&self, text: &str) -> String {
        if self.is_rtl() || matches!(self.words, Words::Accents) {
            format!("\u{2068}{text}\u{2069}")
        } else {
            text.to_owned()
        }
    }

    fn number(&self, digits: u64, places: u8) -> String {
        let mut decimal = Decimal::from(digits);
        decimal.multiply_pow10(-i16::from(places));
        match DecimalFormatter::try_new((&self.locale).into(), DecimalFormatterOptions::default()) {
            Ok(formatter) => formatter.format(&decimal).to_string(),
            Err(_) => English.number(digits, places),
        }
    }

    fn time(&self, at: DateTime<Utc>, pattern: &'static str) -> String {
        let told = at.format(&self.word(pattern)).to_string();
        if self.is_rtl() {
            format!("\u{2066}{told}\u{2069}")
        } else {
            told
        }
    }
}

/// # Panics
/// When it is not written as gettext wants it; tests read all of them.
fn read(catalogue: &str) -> HashMap<String, Vec<String>> {
    let catalogue = polib::po_file::parse_from_reader(catalogue.as_bytes())
        .expect("catalogues are well written: see translations/README.md");
    let forms = |message: &dyn MessageView| match message.msgstr_plural() {
        Ok(forms) => forms.clone(),
        Err(_) => vec![message.msgstr().unwrap_or_default().to_owned()],
    };
    let messages = catalogue
        .messages()
        .filter(|message| message.is_translated());
    messages
        .map(|message| (message.msgid().to_owned(), forms(message)))
        .collect()
}

/// With accents on all letters but those of tags, names of parts, entities and patterns of times.
fn accented(words: &str) -> String {
    if words.starts_with('%') {
        return words.to_owned();
    }
    let mut closing = None;
    let mut letters = words.chars().peekable();
    let mut accented = String::with_capacity(words.len() * 2);
    while let Some(letter) = letters.next() {
        let is_tag = letters
            .peek()
            .is_some_and(|next| next.is_alphabetic() || *next == '/');
        match (closing, letter) {
            (Some(end), _) => closing = closing.filter(|_| letter != end),
            (None, '{') => closing = Some('}'),
            (None, '<') if is_tag => closing = Some('>'),
            (None, '&') if is_tag => closing = Some(';'),
            (None, _) => {
                accented.push(accent(letter));
                continue;
            }
        }
        accented.push(letter);
    }
    accented
}

fn accent(letter: char) -> char {
    let accents = "áƀćďéƒǵĥíĵķłɱńóṕɋŕśťúṽẃẋýź".chars();
    let capitals = "ÁɃĆĎÉƑǴĤÍĴĶŁḾŃÓṔɊŔŚŤÚṼẂẊÝŹ".chars();
    let mut pairs = ('a'..='z').zip(accents).chain(('A'..='Z').zip(capitals));
    let found = pairs.find(|(plain, _)| *plain == letter);
    found.map_or(letter, |(_, accented)| accented)
}

#[cfg(test)]
mod tests;
