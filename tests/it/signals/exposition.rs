//! Reads what `/metrics` shows.

use std::collections::{BTreeMap, BTreeSet};

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct Exposition(Vec<Sample>);

impl Exposition {
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines();
        let samples = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(sample).collect())
    }

    /// The samples of a metric, those of a histogram's parts included.
    pub(crate) fn of<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            let part = sample.name.strip_prefix(metric);
            part.is_some_and(|part| ["", "_bucket", "_sum", "_count"].contains(&part))
        })
    }

    /// The names of the labels of a metric; of each way in which they are given.
    pub(crate) fn labels(&self, metric: &str) -> BTreeSet<Vec<String>> {
        let labels = self.of(metric).map(|sample| {
            let names = sample.labels.keys().filter(|name| *name != "le");
            names.cloned().collect()
        });
        labels.collect()
    }

    /// The sum over all samples that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            let mut labels = labels.iter();
            sample.name == name
                && labels.all(|(name, value)| {
                    sample.labels.get(*name).map(String::as_str) == Some(value)
                })
        };
        self.0.iter().filter(has).map(|sample| sample.value).sum()
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|sample| sample.name.as_str()).collect()
    }
}

/// `name{label="value",…} 1`; our values hold no quotes.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut parts = labels.split('"');
    let mut found = BTreeMap::new();
    while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
        let label = label.trim_start_matches(',').trim_end_matches('=');
        found.insert(label.to_owned(), value.to_owned());
    }
    Sample {
        name: name.to_owned(),
        labels: found,
        value: value.parse().unwrap(),
    }
}
