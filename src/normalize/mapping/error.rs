//! What is wrong with a mapping file, and where.

use std::fmt;

use super::ast::At;
use crate::ocsf::nearest;

/// One mistake in a mapping file. Reads `file:line:column: words; did you mean `x`?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub at: At,
    /// What is wrong: a fragment in lower case, without a full stop.
    pub words: String,
    /// The legal name that is nearest to the one written.
    pub nearest: Option<String>,
}

impl Error {
    /// A mistake with nothing to propose.
    pub(super) fn new(at: &At, words: impl Into<String>) -> Self {
        Self { at: at.clone(), words: words.into(), nearest: None }
    }

    /// Adds the legal name that is nearest to the one written, if one is near enough to be meant.
    pub(super) fn meant<'n>(mut self, written: &str, legal: impl IntoIterator<Item = &'n str>) -> Self {
        self.nearest = nearest(written, legal).map(str::to_owned);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let At { file, line, column } = &self.at;
        write!(out, "{file}:{line}:{column}: {}", self.words)?;
        match &self.nearest {
            Some(name) => write!(out, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// All mistakes of a set of mapping files, in the order of the files and their lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            write!(out, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
