use std::collections::BTreeMap;
use std::ffi::OsString;

use super::error::Error;

/// Environment variables that have a name of their own, and the keys they set.
///
/// Of several names for one key the first that is set counts.
const NAMED: [(&str, &str); 9] = [
    ("DATABASE_URL", "database.url"),
    ("DATABASE_DIRECT_URL", "database.direct_url"),
    ("SYNCLINE_LISTEN", "http.listen"),
    ("SYNCLINE_API_KEY", "http.api_key"),
    ("MERGE_API_BASE", "merge.api_base"),
    ("MERGE_API_KEY", "merge.api_key"),
    ("MERGE_WEBHOOK_SECRET", "merge.webhook_secrets"),
    ("MERGE_SECURITY_SIGNATURE", "merge.webhook_secrets"),
    ("SYNCLINE_ENCRYPTION_KEY", "encryption.keys"),
];

/// What begins the names of all others: `SYNCLINE__SECTION__KEY`.
const PREFIX: &str = "SYNCLINE__";

/// The environment variables of a process, as far as they concern us. Empty ones count as not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// One setting found in the environment.
pub(super) struct Found {
    /// The variable.
    pub(super) variable: String,
    /// The key as written there; may be unknown, may end in `_file`.
    pub(super) key: String,
    pub(super) value: String,
}

impl Environment {
    /// The environment of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// An environment made up of these variables.
    pub fn of<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            let value = value.into();
            let named = name.strip_suffix("_FILE").unwrap_or(&name);
            let is_ours =
                name.starts_with(PREFIX) || NAMED.iter().any(|(other, _)| *other == named);
            (is_ours && !value.is_empty()).then_some((name, value))
        });
        Self(ours.collect())
    }

    /// `DATABASE_URL` alone, for a command that has settings of its own.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn database_url(&self) -> Result<Option<String>, Error> {
        let found = self.get("DATABASE_URL", "database.url".to_owned())?;
        Ok(found.map(|found| found.value))
    }

    /// Whether a variable names a file that holds the value.
    pub(super) fn names_files(&self) -> bool {
        self.0.keys().any(|name| name.ends_with("_FILE"))
    }

    /// The settings it holds.
    pub(super) fn settings(&self) -> Result<Vec<Found>, Error> {
        let mut found: Vec<Found> = Vec::new();
        for (variable, key) in NAMED {
            let is_taken = found
                .iter()
                .any(|other| other.key.trim_end_matches("_file") == key);
            if is_taken {
                continue;
            }
            for (variable, key) in [
                (variable.to_owned(), key.to_owned()),
                (format!("{variable}_FILE"), format!("{key}_file")),
            ] {
                found.extend(self.get(&variable, key)?);
            }
        }
        for variable in self.0.keys() {
            if let Some(rest) = variable.strip_prefix(PREFIX) {
                let key = rest.to_lowercase().replace("__", ".");
                found.extend(self.get(variable, key)?);
            }
        }
        Ok(found)
    }

    fn get(&self, variable: &str, key: String) -> Result<Option<Found>, Error> {
        let Some(value) = self.0.get(variable) else {
            return Ok(None);
        };
        let value = value.to_str().ok_or_else(|| Error {
            key: key.clone(),
            origin: origin(variable),
            reason: "its value is not UTF-8".to_owned(),
        })?;
        Ok(Some(Found {
            variable: variable.to_owned(),
            key,
            value: value.to_owned(),
        }))
    }
}

impl std::fmt::Debug for Environment {
    /// The names alone: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How a variable is called in errors.
pub(super) fn origin(variable: &str) -> String {
    format!("environment variable {variable}")
}
