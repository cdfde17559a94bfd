use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use http::StatusCode;
use phrases::{Part, plural, say};
use queue::JobState;
use queue::admin::bulk_actions;
use store::linked_accounts::AccountStatus;
use store::webhook_deliveries::Verdict;

use super::*;
use crate::ops::Role;

/// Words that are looked up but stand nowhere as such: names from enumerations and from the database.
fn elsewhere() -> Vec<&'static str> {
    let bulk = [
        bulk_actions::State::Prepared,
        bulk_actions::State::Running,
        bulk_actions::State::Stopped,
        bulk_actions::State::Done,
    ];
    let faults = [
        400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503,
    ];
    let faults = faults.map(|status| {
        let status = StatusCode::from_u16(status).unwrap();
        status.canonical_reason().unwrap()
    });
    let mut words = vec!["Retry", "Retry now", "Cancel", "Delete"];
    words.extend(["everything", "queue", "kind", "lane"]);
    words.extend(["trouble", "notice"]);
    words.extend([
        "retried", "snoozed", "crashed", "paused", "unserved", "open",
    ]);
    words.extend(JobState::ALL.map(JobState::as_str));
    words.extend(AccountStatus::ALL.map(AccountStatus::as_str));
    words.extend(Verdict::ALL.map(Verdict::as_str));
    words.extend(Role::ALL.map(Role::as_str));
    words.extend(bulk.map(bulk_actions::State::as_str));
    words.extend(faults);
    words
}

/// The words that are used, by their key; with the words for several of those that have some.
fn used() -> BTreeMap<String, Option<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used: BTreeMap<_, _> = elsewhere()
        .into_iter()
        .map(|word| (word.to_owned(), None))
        .collect();
    for file in files(&root.join("src/console/templates"), "html") {
        let template = fs::read_to_string(file).unwrap();
        for filter in ["\"|t", "\"|with("] {
            for (end, _) in template.match_indices(filter) {
                let start = template[..end].rfind("{{ \"").map(|start| start + 4);
                let words = &template[start.expect("words stand first")..end];
                used.insert(words.to_owned(), None);
            }
        }
    }
    for folder in [
        "src/console",
        "src/ops",
        "src/ops.rs",
        "crates/queue/src",
        "crates/phrases/src/part.rs",
    ] {
        for file in files(&root.join(folder), "rs") {
            let source = fs::read_to_string(&file).unwrap();
            let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            for place in ["say!", "mark!"] {
                for (words, _) in literals(code, place) {
                    used.insert(words, None);
                }
            }
            for (one, after) in literals(code, "plural!") {
                let (many, _) = literal(after).expect("words for several");
                used.insert(one, Some(many));
            }
        }
    }
    // Nothing but parts says the same in all languages.
    used.retain(|key, _| {
        key.split('{').any(|piece| {
            piece
                .rsplit('}')
                .next()
                .is_some_and(|words| !words.is_empty())
        })
    });
    used
}

/// Files below a folder with that ending, but no tests.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| {
        if path.is_dir() {
            files(&path, ending)
        } else {
            vec![path]
        }
    });
    below
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .filter(|path| !path.ends_with("tests.rs"))
        .collect()
}

/// What stands first in each call of a macro, and the code after it.
fn literals<'a>(code: &'a str, name: &str) -> Vec<(String, &'a str)> {
    let places = code.match_indices(name);
    let calls = places.filter_map(|(at, _)| code[at + name.len()..].strip_prefix('('));
    calls.filter_map(literal).collect()
}

fn literal(code: &str) -> Option<(String, &str)> {
    let code = code
        .trim_start_matches([',', ' ', '\n'])
        .strip_prefix('"')?;
    let end = code
        .char_indices()
        .find(|(at, letter)| *letter == '"' && !code[..*at].ends_with('\\'));
    let (end, _) = end?;
    Some((code[..end].replace("\\\"", "\""), &code[end + 1..]))
}

fn translated() -> impl Iterator<Item = (&'static Language, &'static HashMap<String, Vec<String>>)>
{
    ALL.iter().filter_map(|language| match &language.words {
        Words::Catalogue(words) => Some((language, words)),
        Words::English | Words::Accents => None,
    })
}

/// An entry to be filled in.
fn entry(language: &Language, words: &str, several: Option<&String>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\\\""));
    let Some(several) = several else {
        return format!("msgid {}\nmsgstr \"\"\n", quoted(words));
    };
    let forms = language.categories().len();
    let forms = (0..forms).map(|form| format!("msgstr[{form}] \"\"\n"));
    let forms = forms.collect::<Vec<_>>().concat();
    format!(
        "msgid {}\nmsgid_plural {}\n{forms}",
        quoted(words),
        quoted(several)
    )
}

#[test]
fn all_words_are_translated_and_no_others() {
    let used = used();
    assert!(used.len() > 400, "only {}", used.len());
    for (language, words) in translated() {
        let missing = used.iter().filter(|(key, _)| !words.contains_key(*key));
        let missing: Vec<_> = missing
            .map(|(key, several)| entry(language, key, several.as_ref()))
            .collect();
        let unused: Vec<_> = words
            .keys()
            .filter(|key| !used.contains_key(*key))
            .collect();
        let file = format!("translations/{}.po", language.tag);
        assert!(
            missing.is_empty(),
            "to be added to {file}:\n\n{}",
            missing.join("\n")
        );
        assert!(unused.is_empty(), "to be taken out of {file}: {unused:#?}");
    }
}

#[test]
fn translations_have_the_parts_the_tags_and_the_forms_they_need() {
    let used = used();
    for (language, words) in translated() {
        for (key, forms) in words {
            let Some(several) = used.get(key) else {
                continue;
            };
            let wanted = several.as_ref().map_or(1, |_| language.categories().len());
            assert_eq!(forms.len(), wanted, "forms of {key:?} in {}", language.tag);
            let counted = several.is_some();
            let expected = marks(several.as_deref().unwrap_or(key));
            for form in forms {
                let found = marks(form);
                let left_out = expected.difference(&found).count();
                // None, one and two may be said in words.
                let is_fine = left_out == 0 || (counted && left_out == 1);
                let is_fine = is_fine && found.is_subset(&expected);
                assert!(is_fine, "{key:?} in {}: {form:?}", language.tag);
            }
        }
    }
}

/// Names of parts, and tags.
fn marks(words: &str) -> BTreeSet<String> {
    let mut marks = BTreeSet::new();
    for (open, close) in [('{', '}'), ('<', '>')] {
        let after = words.split(open).skip(1);
        let found = after.filter_map(|rest| rest.split_once(close));
        marks.extend(found.map(|(name, _)| format!("{open}{name}{close}")));
    }
    marks
}

#[test]
fn who_chose_nothing_gets_what_their_browser_asks_for() {
    let cases = [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, AR-eg;q=0.5, en;q=0.1", "ar"),
        ("en;q=0.4, de;q=0.7", "de"),
        ("de;q=0, en", "en"),
        ("xx, *;q=0.1", "en"),
        ("en-XA", "en"),
        ("de;q=nonsense, ;;;,=", "en"),
    ];
    for (header, expected) in cases {
        assert_eq!(Language::asked_for(header).tag, expected, "{header:?}");
    }
}

#[test]
fn what_was_chosen_counts_more_and_what_there_is_not_cannot_be() {
    let reader = |cookies: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("de"));
        headers.insert(header::COOKIE, HeaderValue::from_static(cookies));
        let reader = Reader::of(&headers);
        (reader.language.tag, reader.zone)
    };
    assert_eq!(reader("syncline-language=ar"), ("ar", Zone::Utc));
    assert_eq!(reader("syncline-language=en-XA"), ("en-XA", Zone::Utc));
    assert_eq!(reader("syncline-zone=local"), ("de", Zone::Local));
    assert_eq!(
        reader("syncline-language=xx; syncline-zone=mars"),
        ("de", Zone::Utc)
    );
    assert_eq!(remember(Some("xx\r\n"), None), Vec::<HeaderValue>::new());
    assert_eq!(remember(Some("de"), Some("local")).len(), 2);
}

#[test]
fn numbers_times_and_plurals_are_those_of_the_language() {
    let told = |tag: &str, jobs: u64| {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let phrase = say!(
            "{some} of {all}",
            some = Part::Number {
                digits: 123_456,
                places: 2
            },
            all = at
        );
        let language = Language::find(tag).unwrap();
        let jobs = plural!("{count} job", "{count} jobs", count = jobs);
        (phrase.told(language), jobs.told(language))
    };
    let (german, jobs) = told("de", 1_234);
    assert_eq!(german, "1.234,56 von 15.01.2027, 08:00:00 UTC");
    assert_eq!(jobs, "1.234 Jobs");
    assert_eq!(told("de", 1).1, "1 Job");
    let (arabic, _) = told("ar", 0);
    assert_eq!(
        arabic,
        "1,234.56 من \u{2066}2027/01/15 08:00:00 UTC\u{2069}"
    );
    let forms: BTreeSet<_> = [0, 1, 2, 3, 11, 100].map(|jobs| told("ar", jobs).1).into();
    assert_eq!(forms.len(), 6, "{forms:?}");
    assert_eq!(told("en", 1_234).0, "1,234.56 of 2027-01-15 08:00:00 UTC");
}

#[test]
fn accents_leave_parts_tags_and_times_alone() {
    assert_eq!(
        accented("Add {it} <strong>now</strong> &amp; %"),
        "Áďď {it} <strong>ńóẃ</strong> &amp; %"
    );
    assert_eq!(accented("%H:%M UTC"), "%H:%M UTC");
}
