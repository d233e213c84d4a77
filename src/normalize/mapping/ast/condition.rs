//! Conditions.

use super::{Constant, Path};

/// All of these must hold; none is always true.
#[derive(Clone, Debug, Default)]
pub struct Conditions(pub Vec<Condition>);

/// One condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The value at a path is one of these.
    Is {
        /// The path.
        path: Path,
        /// One of these.
        wanted: Vec<Wanted>,
    },
    /// One of these holds.
    Any(Vec<Conditions>),
    /// Both are there and equal.
    Same(Path, Path),
    /// Both are there and differ.
    Differ(Path, Path),
    /// Both are times, and the first is later than the second.
    Later(Path, Path),
}

/// What a condition wants of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Equal to this.
    Equals(Constant),
    /// A text with this beginning, end and content; at least one of them is given.
    Text {
        /// Its beginning.
        prefix: Option<String>,
        /// Its end.
        suffix: Option<String>,
        /// Somewhere in it.
        contains: Option<String>,
    },
    /// Equal but for the case of its letters.
    EqualsIgnoreCase(String),
    /// There, and none of these.
    AnythingBut(Vec<Wanted>),
    /// A number that compares so with each of these.
    Numeric(Vec<(Compare, f64)>),
    /// There, or not there.
    Exists(bool),
}

/// A comparison of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}
