//! `webhooks sign`: what Merge would send, for trying it out.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use merge_client::webhook;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::config::Config;

pub(super) fn run(
    config: &Config,
    file: Option<&Path>,
    url: &Url,
    is_signature_only: bool,
) -> anyhow::Result<()> {
    let secret = config.merge.webhook_secrets.first();
    let secret = secret.context("no webhook secret is set; set MERGE_WEBHOOK_SECRET")?;
    let body = super::read_body(file)?;
    let signature = webhook::sign(secret.expose_secret(), &body);
    let mut out = io::stdout().lock();
    if is_signature_only {
        writeln!(out, "{signature}")?;
        return Ok(());
    }
    // A body from stdin was read just now: curl would find nothing there.
    let data = match file {
        Some(file) => format!("@{}", quoted(&file.display().to_string())),
        None => quoted(std::str::from_utf8(&body).context("put a body that is no text in a file")?),
    };
    writeln!(
        out,
        "curl {} -H 'Content-Type: application/json' -H '{}: {signature}' --data-binary {data}",
        quoted(url.as_str()),
        webhook::HEADER
    )?;
    Ok(())
}

/// As a word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
