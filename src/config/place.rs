//! Mistakes in a configuration, with the place they stand at.

use std::fmt;
use std::ops::Range;

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

    /// A mistake in JSON that stands in a string of the file: `path` leads to the string, `way` to the key in the JSON.
    #[must_use]
    pub fn in_json(file: &str, text: &str, path: &[&str], way: &[&str], words: impl Into<String>) -> Self {
        let Some(key) = span_of(text, path) else { return Self::in_file(file, words) };
        // Behind the key of the string, each name in quotes is looked for behind the one around it. Names that the string
        // spells with escapes are not found, and the place is that of the one around it.
        let mut byte = key.start;
        let mut from = key.end;
        for name in way {
            let found = text.get(from..).and_then(|rest| rest.find(&format!("\"{name}\"")));
            if let Some(found) = found {
                byte = from + found;
                from = byte + name.len() + 2;
            }
        }
        Self::at_byte(file, text, byte, words)
    }
}

/// Where a key of the file, or an element of a list by its number, is written: the deepest part of the path that is there.
pub(super) fn byte_of(text: &str, path: &[&str]) -> Option<usize> {
    span_of(text, path).map(|span| span.start)
}

/// The span of the deepest part of the path that is written: of the key, for an element of a list of its value.
fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (key, mut value) = document.get_ref().iter().find(|(key, _)| key.get_ref() == first)?;
    let mut span = key.span();
    for name in rest {
        let (next, place) = match value.get_ref() {
            DeValue::Table(table) => match table.iter().find(|(key, _)| key.get_ref() == name) {
                Some((key, value)) => (value, key.span()),
                None => break,
            },
            DeValue::Array(list) => match name.parse().ok().and_then(|number: usize| list.get(number)) {
                Some(value) => (value, value.span()),
                None => break,
            },
            _ => break,
        };
        (value, span) = (next, place);
    }
    Some(span)
}
