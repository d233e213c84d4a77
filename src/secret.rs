//! Secrets: written as references, resolved at start, never shown. Floor 0.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret is to be had: `{ env = "NAME" }` or `{ file = "/run/secrets/name" }`. Exactly one is written; the secret
/// itself never stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The environment variable that holds it.
    pub env: Option<String>,
    /// The file that holds it; white space around it is dropped.
    pub file: Option<PathBuf>,
}

/// A secret that was resolved. It prints as `***` wherever it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A secret that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither or both of `env` and `file` are written.
    #[error("a secret is written as {{ env = \"NAME\" }} or {{ file = \"/path\" }}, and one of them only")]
    Shape,
    /// The variable is not set, or is empty, or is no UTF-8.
    #[error("environment variable `{0}` is not set: export it, or give the secret as {{ file = \"/path\" }}")]
    Variable(String),
    /// The file cannot be read.
    #[error("cannot read the secret's file {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is empty.
    #[error("the secret's file {0} is empty")]
    Empty(PathBuf),
}

impl SecretRef {
    /// Fetches the secret. Reads the environment or a file; called once at start.
    ///
    /// # Errors
    ///
    /// When the reference is malformed or the secret is not there.
    pub fn resolve(&self) -> Result<Secret, Error> {
        match (&self.env, &self.file) {
            (Some(name), None) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Secret(value)),
                _ => Err(Error::Variable(name.clone())),
            },
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| Error::File { path: path.clone(), error })?;
                let text = text.trim();
                if text.is_empty() { Err(Error::Empty(path.clone())) } else { Ok(Secret(text.to_owned())) }
            }
            _ => Err(Error::Shape),
        }
    }
}

impl Secret {
    /// A secret from its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the header or the handshake, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a secret never shows itself, and that each way of not having it says what to do.
    #[test]
    fn secrets_are_fetched_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, " s3cr3t\n").unwrap();
        let secret = SecretRef { env: None, file: Some(path) }.resolve().unwrap();
        assert_eq!(secret.expose(), "s3cr3t");
        assert_eq!(format!("{secret:?}"), "***");

        let missing = SecretRef { env: Some("SIEMLINE_TEST_NOT_SET".into()), file: None }.resolve().unwrap_err();
        assert!(missing.to_string().contains("SIEMLINE_TEST_NOT_SET"), "{missing}");
        assert!(matches!(SecretRef::default().resolve(), Err(Error::Shape)));
        assert!(matches!(
            SecretRef { env: None, file: Some(directory.path().join("none")) }.resolve(),
            Err(Error::File { .. })
        ));
    }
}
