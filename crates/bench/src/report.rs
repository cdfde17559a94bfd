//! The table, the targets, and both as JSON.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::statistics::median;

/// What a run found out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The machine, the server and their settings.
    pub(crate) about: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) targets: Vec<Target>,
}

/// One measure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    /// What was measured, of whom.
    pub(crate) what: String,
    /// The median of `rounds`.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) rounds: Vec<f64>,
    /// Settings, or what else one must know.
    pub(crate) note: String,
}

/// One promise of the issue, and whether it holds.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "read by tools as `targets[].target`"
)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// As `≥ 0.5`.
    pub(crate) target: String,
    pub(crate) ok: bool,
}

impl Report {
    /// Adds a measure; answers its median.
    pub(crate) fn row(
        &mut self,
        workload: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        rounds: &[f64],
        note: impl Into<String>,
    ) -> f64 {
        let value = median(rounds);
        self.rows.push(Row {
            workload,
            what: what.into(),
            value,
            unit,
            rounds: rounds.to_vec(),
            note: note.into(),
        });
        value
    }

    /// Adds a target that a value must reach.
    pub(crate) fn at_least(&mut self, name: impl Into<String>, value: f64, least: f64) {
        self.targets.push(Target {
            name: name.into(),
            value,
            target: format!("≥ {}", round(least)),
            ok: value >= least,
        });
    }

    /// Adds a target that a value must not exceed.
    pub(crate) fn at_most(&mut self, name: impl Into<String>, value: f64, most: f64) {
        self.targets.push(Target {
            name: name.into(),
            value,
            target: format!("≤ {}", round(most)),
            ok: value <= most,
        });
    }

    /// Writes the table to stdout; with `as_json` it goes to stderr and the JSON to stdout.
    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        let text = self.text()?;
        if as_json {
            std::io::stderr().write_all(text.as_bytes())?;
            let mut stdout = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut stdout, self)?;
            writeln!(stdout)?;
        } else {
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut text = String::from("\n");
        for line in &self.about {
            writeln!(text, "{line}")?;
        }
        writeln!(text)?;
        let width = |of: fn(&Row) -> &str| {
            let widths = self.rows.iter().map(|row| of(row).chars().count());
            widths.max().unwrap_or(0)
        };
        let (what, unit) = (width(|row| &row.what), width(|row| row.unit));
        for row in &self.rows {
            writeln!(
                text,
                "{:<7} {:<what$} {:>12} {:<unit$} {:>23}  {}",
                row.workload,
                row.what,
                number(row.value),
                row.unit,
                range(&row.rounds),
                row.note
            )?;
        }
        writeln!(text)?;
        let names = self.targets.iter().map(|each| each.name.chars().count());
        let name = names.max().unwrap_or(0);
        for target in &self.targets {
            writeln!(
                text,
                "{:<name$}  {:>10}  {:<10}  {}",
                target.name,
                number(target.value),
                target.target,
                if target.ok { "ok" } else { "MISSED" }
            )?;
        }
        Ok(text)
    }
}

/// To thousandths, so that a bound that was measured is readable, too.
fn round(bound: f64) -> f64 {
    (bound * 1_000.0).round() / 1_000.0
}

/// The least and the most of several rounds.
fn range(rounds: &[f64]) -> String {
    if rounds.len() < 2 {
        return String::new();
    }
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} … {}", number(least), number(most))
}

/// Three significant digits at least, and thousands apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 10.0 => 3,
        medium if medium < 100.0 => 2,
        large if large < 1_000.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.trim_start_matches('-');
    let mut grouped = String::from(&whole[..whole.len() - digits.len()]);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !rest.is_empty() {
        grouped.push('.');
        grouped.push_str(rest);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (0.0421, "0.042"),
            (12.345, "12.35"),
            (-250.04, "-250.0"),
            (1_234_567.8, "1,234,568"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
