//! How times, spans and numbers are shown.

use std::{fmt, time::Duration};

use askama::{FastWritable, Values, filters::HtmlSafe};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use phrases::{Part, Phrase, Voice, say};

use super::language::{Language, Reader};
use super::told::{Said, reader};
use crate::ops::words::ago;
pub(super) use crate::ops::words::{age, stamp, took};

/// A number, as it is written in the reader's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

pub(super) fn grouped(number: u64) -> Number {
    Number(number)
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Reader::default().language.number(self.0, 0))
    }
}

impl FastWritable for Number {
    fn write_into(&self, dest: &mut dyn fmt::Write, values: &dyn Values) -> askama::Result<()> {
        Ok(dest.write_str(&reader(values).language.number(self.0, 0))?)
    }
}

/// Digits only.
impl HtmlSafe for Number {}

/// A time as `3 min ago` or `in 4 s`, with the time itself for programs and for those who point at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl When {
    pub(super) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { at, now }
    }

    pub(super) fn maybe(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Self> {
        at.map(|at| Self { at, now })
    }

    /// Year to second.
    pub(super) fn exact(&self) -> Said {
        say!("{at}", at = self.at).into()
    }

    fn told(&self, language: &Language) -> String {
        let machine = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let exact = self.exact().told(language);
        let told = ago(self.at, self.now).told(language);
        format!(r#"<time datetime="{machine}" title="{exact}">{told}</time>"#)
    }
}

impl FastWritable for When {
    fn write_into(&self, dest: &mut dyn fmt::Write, values: &dyn Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.told(reader(values).language))?)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Reader::default().language))
    }
}

/// Digits and words of ours only.
impl HtmlSafe for When {}

/// How long something takes, with two digits that matter: `0.4 ms`, `12 ms`, `1.3 s`, `4 min`.
pub(super) fn span(time: Duration) -> Said {
    let millis = time.as_secs_f64() * 1_000.0;
    let tenths = |digits| Part::Number { digits, places: 1 };
    let told: Phrase = match millis {
        ..9.95 => say!("{millis} ms", millis = tenths(rounded(millis * 10.0))),
        9.95..999.5 => say!("{millis} ms", millis = rounded(millis)),
        999.5..9_950.0 => say!("{seconds} s", seconds = tenths(rounded(millis / 100.0))),
        _ => age(TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)),
    };
    told.into()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few thousand, and not negative"
)]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// The first of an id's characters that differ between ids of one day, behind an ellipsis.
pub(super) fn short(id: impl fmt::Display) -> String {
    let id = id.to_string();
    let start = id.len().saturating_sub(8);
    format!("…{}", &id[start..])
}

/// Heights of bars, in percent of the highest; what is not nothing is seen.
pub(super) fn bars(counts: impl IntoIterator<Item = i64>) -> Vec<Bar> {
    let counts: Vec<i64> = counts.into_iter().collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bars = counts.into_iter().enumerate().map(|(index, count)| {
        let height = if count > 0 {
            (count * 20 / most).max(2)
        } else {
            0
        };
        Bar {
            x: index * 4,
            y: 20 - height,
            height,
            count,
        }
    });
    bars.collect()
}

/// A bar in a chart that is twenty high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: i64,
    pub(super) height: i64,
    pub(super) count: i64,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let told = |seconds| {
            let shown = When::new(now - TimeDelta::seconds(seconds), now).to_string();
            let (_, rest) = shown.split_once('>').unwrap();
            rest.strip_suffix("</time>").unwrap().to_owned()
        };
        assert_eq!(
            (told(0), told(90), told(-5)),
            ("now".into(), "1 min ago".into(), "in 5 s".into())
        );
        let shown = When::new(now, now).to_string();
        assert!(
            shown.contains(r#"title="2027-01-15 08:00:00 UTC""#),
            "{shown}"
        );
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        let cases = [
            (400, "0.4 ms"),
            (12_300, "12 ms"),
            (999_900, "1.0 s"),
            (12_000_000, "12 s"),
            (240_000_000, "4 min"),
        ];
        for (micros, expected) in cases {
            assert_eq!(span(Duration::from_micros(micros)).to_string(), expected);
        }
    }

    #[test]
    fn the_highest_bar_is_full_and_none_that_is_there_is_invisible() {
        let heights: Vec<_> = bars([0, 1, 1_000]).iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [0, 2, 20]);
    }
}
