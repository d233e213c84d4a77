//! What is wrong with a mapping file, and where.

use std::fmt;

use super::ast::At;

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
        self.nearest = nearest(written, legal);
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

/// The legal name with the smallest edit distance, if that is at most a third of what was written (and at least 2): more
/// would be guessing. Ties go to the name that comes first.
fn nearest<'n>(written: &str, legal: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let bound = (written.chars().count() / 3).max(2);
    let mut best: Option<(usize, &str)> = None;
    for name in legal {
        let found = distance(written, name);
        if found <= bound && best.is_none_or(|(least, _)| found < least) {
            best = Some((found, name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to turn one text into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut second_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut left_before = None;
    for (row, letter) in left.chars().enumerate() {
        let mut current = Vec::with_capacity(above.len());
        current.push(row + 1);
        let mut right_before = None;
        for (column, &other) in right.iter().enumerate() {
            let cost = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX - 1);
            let mut least = cost(&above, column) + usize::from(letter != other);
            least = least.min(cost(&above, column + 1) + 1).min(cost(&current, column) + 1);
            if column > 0 && left_before == Some(other) && right_before == Some(letter) {
                least = least.min(cost(&second_above, column - 1) + 1);
            }
            current.push(least);
            right_before = Some(other);
        }
        second_above = std::mem::replace(&mut above, current);
        left_before = Some(letter);
    }
    above.last().copied().unwrap_or(0)
}
