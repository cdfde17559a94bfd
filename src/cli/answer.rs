//! How a command answers: in words for people, as JSON for scripts; once, or again and again.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use console::Term;
use serde::Serialize;
use serde_json::{Value, json};

use super::exit;
use crate::ops::{Deed, words};

/// What a command has to say.
#[derive(Debug)]
pub(super) struct Answer {
    text: String,
    json: Value,
}

impl Answer {
    pub(super) fn new(text: String, json: &impl Serialize) -> anyhow::Result<Self> {
        let json = serde_json::to_value(json).context("cannot write JSON")?;
        Ok(Self { text, json })
    }

    /// That something was done. `more` are further members of the JSON object.
    pub(super) fn done(deed: Deed, target: impl Display, more: Value) -> Self {
        let mut json = json!({ "deed": deed.as_str(), "target": target.to_string() });
        if let (Value::Object(all), Value::Object(more)) = (&mut json, more) {
            all.extend(more);
        }
        Self {
            text: format!("{}\n", words::done(deed)),
            json,
        }
    }

    /// With another sentence.
    pub(super) fn saying(mut self, sentence: &str) -> Self {
        self.text = format!("{sentence}\n");
        self
    }

    fn print(&self, is_json: bool, is_again: bool) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if is_json {
            let text = if is_again {
                serde_json::to_string(&self.json)
            } else {
                serde_json::to_string_pretty(&self.json)
            };
            writeln!(out, "{}", text.context("cannot write JSON")?)?;
        } else {
            if is_again && out.is_terminal() {
                Term::stdout().clear_screen()?;
            }
            write!(out, "{}", self.text)?;
        }
        Ok(out.flush()?)
    }
}

/// How to answer that something was done.
#[derive(Debug, clap::Args)]
pub(super) struct Form {
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Form {
    pub(super) fn print(&self, answer: &Answer) -> anyhow::Result<()> {
        answer.print(self.json, false)
    }
}

/// How to answer a question.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// JSON instead of text; with --watch one line for each look.
    #[arg(long)]
    json: bool,
    /// Look again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

impl Look {
    /// Looks, and shows what was seen. Once somebody watches, a look that fails is shown, too, and not the last.
    pub(super) async fn show(
        &self,
        mut look: impl AsyncFnMut() -> anyhow::Result<Answer>,
    ) -> anyhow::Result<()> {
        let first = look().await?;
        let Some(seconds) = self.watch else {
            return first.print(self.json, false);
        };
        first.print(self.json, true)?;
        loop {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            match look().await {
                Ok(answer) => answer.print(self.json, true)?,
                Err(error) => exit::tell(&error),
            }
        }
    }
}
