use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use secrecy::SecretString;

use super::environment::{self, Environment};
use super::{Config, Error, Fault, Need};

/// The compiled-in defaults: every key there is.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Keys whose values are secrets: they may come from a file, and are shown nowhere.
const SECRETS: [&str; 6] = [
    "database.direct_url",
    "database.url",
    "encryption.keys",
    "http.api_key",
    "merge.api_key",
    "merge.webhook_secrets",
];

/// Longest file that is taken for a secret.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Where settings come from, beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// Settings given by flags: the key, the flag, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// All layers in one: for each key the value that counts and where it came from.
pub(super) struct Layers(BTreeMap<String, Setting>);

struct Setting {
    value: Value,
    origin: String,
}

impl Sources {
    /// The environment of this process and the file of `--config`.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            environment: Environment::of_process(),
            flags: Vec::new(),
        }
    }

    /// The signing secrets of webhooks as the sources say now.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn webhook_secrets(&self) -> Result<Vec<SecretString>, Error> {
        Ok(Config::load(self, Need::Service)?.merge.webhook_secrets)
    }

    /// Whether any setting comes from a file, and may so change while we run.
    pub fn may_change(&self) -> bool {
        self.file.is_some() || self.environment.names_files()
    }

    pub(super) fn layers(&self) -> Result<Layers, Error> {
        let mut layers = Layers::defaults();
        if let Some(path) = &self.file {
            let origin = format!("file {}", path.display());
            let values = read_toml(path).map_err(|reason| Error {
                key: String::new(),
                origin: origin.clone(),
                reason,
            })?;
            layers.add(
                values
                    .into_iter()
                    .map(|(key, value)| (key, origin.clone(), value)),
            )?;
        }
        let found = self.environment.settings()?.into_iter().map(|found| {
            (
                found.key,
                environment::origin(&found.variable),
                Value::from(found.value),
            )
        });
        layers.add(found)?;
        let flags = self.flags.iter().map(|(key, flag, value)| {
            (
                (*key).to_owned(),
                format!("flag {flag}"),
                Value::from(value.clone()),
            )
        });
        layers.add(flags)?;
        Ok(layers)
    }
}

impl Layers {
    fn defaults() -> Self {
        let values = File::from_str(DEFAULTS, FileFormat::Toml)
            .collect()
            .expect("config/default.toml is compiled in and read by the tests");
        let settings = flat(values).into_iter().map(|(key, value)| {
            (
                key,
                Setting {
                    value,
                    origin: "default".to_owned(),
                },
            )
        });
        Self(settings.collect())
    }

    /// Lays one layer over the others; each of its keys may stand there once.
    fn add(&mut self, layer: impl Iterator<Item = (String, String, Value)>) -> Result<(), Error> {
        let mut seen = BTreeMap::new();
        for (written, origin, value) in layer {
            let error = |reason: String| Error {
                key: written.clone(),
                origin: origin.clone(),
                reason,
            };
            let key = self
                .known(&written)
                .ok_or_else(|| error(self.suggest(&written)))?;
            if let Some(other) = seen.insert(key.clone(), origin.clone()) {
                return Err(error(format!(
                    "it is set twice, also by {other}; remove one of them"
                )));
            }
            let setting = if written == key {
                Setting {
                    value,
                    origin: origin.clone(),
                }
            } else {
                let path = value
                    .into_string()
                    .map_err(|_| error("expected a path".to_owned()))?;
                let text = read_secret(Path::new(&path)).map_err(error)?;
                Setting {
                    value: text.into(),
                    origin: format!("{origin}, file {path}"),
                }
            };
            self.0.insert(key, setting);
        }
        Ok(())
    }

    /// The key that a written one sets: itself, or for `<secret>_file` the secret.
    fn known(&self, written: &str) -> Option<String> {
        if self.0.contains_key(written) {
            return Some(written.to_owned());
        }
        let secret = written.strip_suffix("_file")?;
        SECRETS.contains(&secret).then(|| secret.to_owned())
    }

    fn suggest(&self, written: &str) -> String {
        let section = written.split('.').next().unwrap_or_default();
        let mut near: Vec<&str> = self.0.keys().map(String::as_str).collect();
        near.retain(|key| key.starts_with(&format!("{section}.")));
        if near.is_empty() {
            let mut sections: Vec<_> = self
                .0
                .keys()
                .filter_map(|key| key.split('.').next())
                .collect();
            sections.dedup();
            return format!("no such key; the sections are {}", sections.join(", "));
        }
        format!("no such key; `{section}` has {}", near.join(", "))
    }

    /// The settings as types.
    pub(super) fn deserialize(&self) -> Result<Config, Error> {
        let mut builder = ::config::Config::builder();
        for (key, setting) in &self.0 {
            builder = builder
                .set_override(key, setting.value.clone())
                .expect("the keys are those of the defaults");
        }
        let merged = builder
            .build()
            .expect("values that were read can be put together");
        serde_path_to_error::deserialize(merged).map_err(|error| {
            let key = error.path().to_string();
            let reason = reason(error.into_inner(), SECRETS.contains(&key.as_str()));
            let origin = self.origin(&key);
            Error {
                key,
                origin,
                reason,
            }
        })
    }

    /// Completes a fault by where the value came from.
    pub(super) fn blame(&self, fault: Fault) -> Error {
        Error {
            origin: self.origin(fault.key),
            key: fault.key.to_owned(),
            reason: fault.reason,
        }
    }

    fn origin(&self, key: &str) -> String {
        self.0
            .get(key)
            .map_or_else(|| "default".to_owned(), |setting| setting.origin.clone())
    }
}

/// Every value that is no table, by its whole key.
fn flat(values: Map<String, Value>) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for (key, value) in values {
        match value.kind {
            ValueKind::Table(table) => {
                let inner = flat(table).into_iter();
                settings.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => settings.push((key, value)),
        }
    }
    settings
}

fn read_toml(path: &Path) -> Result<Vec<(String, Value)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match File::from_str(&text, FileFormat::Toml).collect() {
        Ok(values) => {
            let mut settings = flat(values);
            settings.sort_by(|(one, _), (other, _)| one.cmp(other)); // the same fault each time
            Ok(settings)
        }
        Err(ConfigError::FileParse { cause, .. }) => Err(toml_fault(&cause.to_string())),
        Err(_) => Err("it is no TOML table".to_owned()),
    }
}

/// The place and the message of a TOML error, without the line itself: that may hold a secret.
fn toml_fault(text: &str) -> String {
    let place = text.lines().next().unwrap_or_default();
    let quoted = |line: &&str| line.contains('|');
    let message: Vec<_> = text
        .lines()
        .skip(1)
        .filter(|line| !quoted(line))
        .map(str::trim)
        .collect();
    format!("{place}: {}", message.join(" "))
}

fn read_secret(path: &Path) -> Result<String, String> {
    let fault = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let length = std::fs::metadata(path)
        .map_err(|error| fault(&error))?
        .len();
    if length > MAX_SECRET_BYTES {
        return Err(fault(&"it is too long for a secret"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    let text = text.trim();
    if text.is_empty() {
        Err(fault(&"it is empty"))
    } else {
        Ok(text.to_owned())
    }
}

/// What is wrong with a value, without the value if it is secret.
fn reason(error: ConfigError, is_secret: bool) -> String {
    match error {
        ConfigError::At { error, .. } => reason(*error, is_secret),
        ConfigError::Type { expected, .. } if is_secret => format!("expected {expected}"),
        ConfigError::Type {
            unexpected,
            expected,
            ..
        } => {
            format!("{unexpected} found, expected {expected}")
        }
        ConfigError::Message(_) if is_secret => "not of the expected form".to_owned(),
        other => other.to_string(),
    }
}
