//! Tables and facts as people read them in a terminal.
//!
//! Much of what is shown was written by others: error messages, names of customers. So nothing reaches the terminal
//! that it would obey instead of show.

use std::fmt::{Display, Write as _};

use console::{Alignment, Term, measure_text_width, pad_str, style};

/// Between two columns.
const GAP: usize = 2;
/// No column is cut to less.
const NARROWEST: usize = 8;

/// How something is, as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Odd,
    Bad,
}

/// One thing in a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: harmless(&text.to_string()),
            tone: Tone::Plain,
        }
    }
}

/// A state, coloured by what it means.
pub(super) fn state(name: &str) -> Cell {
    let tone = match name {
        "running" | "completed" | "working" | "active" | "open" | "ok" | "done" | "valid" => {
            Tone::Good
        }
        "retryable" | "paused" | "late" | "quiet" | "draining" | "pending" | "relink_needed"
        | "warning" | "notice" | "stopped" | "parked" => Tone::Odd,
        "dead" | "silent" | "lost" | "broken" | "error" | "failed" | "trouble" | "revoked"
        | "crashed" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell {
        tone,
        ..Cell::from(name)
    }
}

/// What may be there; nothing is a dash.
pub(super) fn maybe(value: Option<impl ToString>) -> Cell {
    value.map_or_else(|| Cell::from("-"), Cell::from)
}

impl Cell {
    fn width(&self) -> usize {
        measure_text_width(&self.text)
    }

    /// So wide, at least.
    pub(super) fn padded(&self, width: usize) -> String {
        self.shown(width.max(self.width()), Alignment::Left)
    }

    fn shown(&self, width: usize, alignment: Alignment) -> String {
        let text = pad_str(&self.text, width, alignment, Some("…"));
        match self.tone {
            Tone::Plain => text.into_owned(),
            Tone::Good => style(text).green().to_string(),
            Tone::Odd => style(text).yellow().to_string(),
            Tone::Bad => style(text).red().to_string(),
        }
    }
}

/// Rows below names of columns, the most important first: what finds no room is cut, and then left out from the right.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// For the terminal that stdout is; whole, when it is none.
    pub(super) fn shown(&self) -> String {
        self.for_width(screen_width())
    }

    /// For so many columns.
    pub(super) fn for_width(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return "None.\n".to_owned();
        }
        let widths = fit(self.natural_widths(), &self.whole(), width);
        let mut text = String::new();
        let names: Vec<Cell> = self.names.iter().map(Cell::from).collect();
        for (index, row) in std::iter::once(&names).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let alignment = if self.is_numbers(column) {
                    Alignment::Right
                } else {
                    Alignment::Left
                };
                let gap = if column == 0 { 0 } else { GAP };
                let _ = write!(line, "{:gap$}{}", "", cell.shown(*width, alignment));
            }
            let line = line.trim_end();
            let _ = match index {
                0 => writeln!(text, "{}", style(line).bold()),
                _ => writeln!(text, "{line}"),
            };
        }
        text
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }

    fn natural_widths(&self) -> Vec<usize> {
        let widths = self.names.iter().enumerate().map(|(column, name)| {
            let cells = self.column(column).map(Cell::width);
            cells.max().unwrap_or(0).max(measure_text_width(name))
        });
        widths.collect()
    }

    /// What is typed or read as a whole: the first column, and numbers.
    fn whole(&self) -> Vec<bool> {
        let columns = 0..self.names.len();
        columns
            .map(|column| column == 0 || self.is_numbers(column))
            .collect()
    }

    fn is_numbers(&self, column: usize) -> bool {
        let is_number = |cell: &Cell| {
            cell.text == "-" || cell.text.starts_with(|first: char| first.is_ascii_digit())
        };
        let digits = |cell: &Cell| {
            let mut rest = cell.text.chars();
            rest.all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '+' | '/' | '-'))
        };
        self.column(column)
            .all(|cell| is_number(cell) && digits(cell))
    }
}

/// Widths that fit: the widest column is made narrower until they do; if that is not enough, the last are left out.
fn fit(mut widths: Vec<usize>, whole: &[bool], room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    loop {
        let taken = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(excess) = taken.checked_sub(room + 1).map(|less| less + 1) else {
            return widths;
        };
        let shrinking = (0..widths.len())
            .filter(|column| !whole[*column] && widths[*column] > NARROWEST)
            .max_by_key(|column| widths[*column]);
        match shrinking {
            Some(column) => {
                widths[column] = widths[column].saturating_sub(excess).max(NARROWEST);
            }
            None if widths.len() > 1 => drop(widths.pop()),
            None => return widths,
        }
    }
}

/// A line for each thing known of something; what is empty is left out.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    pub(super) fn add(&mut self, name: &'static str, value: impl ToString) {
        self.maybe(name, Some(value));
    }

    pub(super) fn maybe(&mut self, name: &'static str, value: Option<impl ToString>) {
        let value = value.map(|value| harmless(&value.to_string()));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push((name, value));
        }
    }

    pub(super) fn shown(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = self.0.iter().map(|(name, value)| {
            let name = format!("{name:<width$}");
            format!("{}  {value}\n", style(name).bold())
        });
        lines.collect()
    }
}

/// A headline, and what stands below it.
pub(super) fn section(name: &str, below: &str) -> String {
    format!("\n{}\n{below}", style(name).bold())
}

/// How to see what comes after the last row; nothing when that is all.
pub(super) fn more(next: Option<impl Display>) -> String {
    next.map_or_else(String::new, |next| format!("More: --after {next}\n"))
}

/// On one line, without what a terminal obeys, or what turns the direction of text.
pub(super) fn harmless(text: &str) -> String {
    let shown = text.chars().map(|character| match character {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\n' | '\r' | '\t' => ' ',
        character if character.is_control() => '\u{fffd}',
        character => character,
    });
    shown.collect()
}

/// The same for text of several lines, each of which is indented.
pub(super) fn lines(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {}\n", harmless(line)));
    lines.collect()
}

fn screen_width() -> Option<usize> {
    let term = Term::stdout();
    term.is_term()
        .then(|| term.size_checked())
        .flatten()
        .map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["id", "state", "jobs", "error"]);
        table.row([
            "key-456789".into(),
            state("dead"),
            "1,200".into(),
            "x".repeat(40).into(),
        ]);
        table.row(["k".into(), state("done"), 7.into(), "日本語のエラー".into()]);
        table
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let shown = table().for_width(None);

        let expected = format!("key-456789  dead   1,200  {}", "x".repeat(40));
        assert_eq!(shown.lines().nth(1), Some(expected.as_str()));
        assert_eq!(
            shown.lines().nth(2),
            Some("k           done       7  日本語のエラー")
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_keeps_what_is_typed() {
        for width in [20, 30, 38, 50, 80] {
            let shown = table().for_width(Some(width));
            for line in shown.lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
            assert!(shown.contains("key-456789"), "{shown}");
        }
        let shown = table().for_width(Some(38));
        assert!(shown.contains("xxx…"), "{shown}");
        assert!(
            !table().for_width(Some(30)).contains('x'),
            "no room for a column is no column"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        let mut table = Table::new(&["a"]);
        table.row(["\u{1b}[2Jgone\u{7}\r\nnext \u{202e}evil \u{9b}31m".into()]);

        let shown = table.for_width(None);

        let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert_eq!(shown.lines().count(), 2);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(Table::new(&["a"]).for_width(None), "None.\n");
    }
}
