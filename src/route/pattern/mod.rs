//! EventBridge event patterns: read, compiled once, asked of a parsed event.
//!
//! A pattern has the shape of the events it is for. Under a name stands either a pattern again, or a list of what the
//! value may be; every name must hold, and of each list one entry. The sources of what is here: the EventBridge user
//! guide, "Creating event patterns" and "Comparison operators", and the description of the library behind it,
//! `aws/event-ruler`. Where the two leave something open, this holds:
//!
//! - Only leaves are compared. `exists` and all others say nothing of an object; a `null` is a leaf, and there.
//! - Arrays are looked through, those in arrays too: one element that holds is enough. What a pattern asks below one array is
//!   asked of one and the same element (event-ruler's "array consistency"), also across `$or`.
//! - `exists = false` holds where no leaf stands at the place. Below an array: in the element that the other conditions
//!   chose, or, where there is none, in no element at all.
//! - `anything-but` holds for any leaf that is not among what it names, whatever its type; not for one that is absent.
//! - Numbers are equal as numbers: `300`, `300.0` and `3e2` are one.
//! - A name with dots is one name, never a way.

mod compile;
mod known;
mod matching;
mod operator;
mod options;
#[cfg(test)]
mod tests;
mod wanted;

pub use known::check_attributes;
pub use options::PatternOptions;
use wanted::Wanted;

/// Ways in which one pattern may hold, once its `$or`s are multiplied out.
const ALTERNATIVES_MAX: usize = 256;

/// Names within each other.
const DEPTH_MAX: usize = 32;

/// A pattern, compiled.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// One of them must hold.
    alternatives: Vec<Place>,
    /// Whether it is over an EventBridge event as a whole.
    is_enveloped: bool,
}

/// What is asked of the value at one place: all of it must hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    tests: Vec<Test>,
    below: Vec<(Box<str>, Place)>,
    /// Whether all that is asked is that things be absent.
    is_absence: bool,
}

/// What is asked of a leaf.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// That there be none.
    Absent,
    /// That it be one of these.
    OneOf(Vec<Wanted>),
}

/// A mistake in a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The names on the way to it; the entries of a list by number, from 0.
    pub way: Vec<String>,
    /// What is wrong, and the remedy.
    pub words: String,
}

impl Mistake {
    fn new(words: impl Into<String>) -> Self {
        Self { way: Vec::new(), words: words.into() }
    }

    /// The mistake, seen from one name further out.
    fn under(mut self, name: &str) -> Self {
        self.way.insert(0, name.to_owned());
        self
    }
}
