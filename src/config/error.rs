use std::fmt;

/// A setting that is wrong, in one line: the key, where its value came from, what is wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// The key, such as `http.listen`; empty when the fault is in a file as a whole.
    pub key: String,
    /// Such as `environment variable SYNCLINE_LISTEN`.
    pub origin: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            origin,
            reason,
        } = self;
        if key.is_empty() {
            write!(f, "cannot use the {origin}: {reason}")
        } else {
            write!(f, "setting `{key}` ({origin}): {reason}")
        }
    }
}

impl std::error::Error for Error {}
