//! Mistakes in a configuration, with the place they stand at.

use std::fmt;

use toml::de::{DeTable, DeValue};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// One mistake: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {words}")]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and the remedy.
    pub words: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

impl Mistake {
    /// A mistake in the file as a whole.
    #[must_use]
    pub fn in_file(file: &str, words: impl Into<String>) -> Self {
        Self { place: Place { file: file.to_owned(), line: 0, column: 0 }, words: words.into() }
    }

    /// A mistake at a byte of the text.
    #[must_use]
    pub fn at_byte(file: &str, text: &str, byte: usize, words: impl Into<String>) -> Self {
        let before = text.get(..byte.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { place: Place { file: file.to_owned(), line, column }, words: words.into() }
    }

    /// A mistake at a key of the file, such as `["route", "urgent", "to"]`: at the deepest part of the path that is
    /// written.
    #[must_use]
    pub fn at_key(file: &str, text: &str, path: &[&str], words: impl Into<String>) -> Self {
        match byte_of(text, path) {
            Some(byte) => Self::at_byte(file, text, byte, words),
            None => Self::in_file(file, words),
        }
    }
}

fn byte_of(text: &str, path: &[&str]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table: &DeTable<'_> = document.get_ref();
    let mut byte = None;
    for name in path {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
        byte = Some(key.span().start);
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    byte
}
