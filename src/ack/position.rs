//! Where a record stands in its source.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A sequence number: decimal digits of any length, ordered as the number they spell.
///
/// Kinesis hands out numbers of up to 56 digits and its emulators shorter ones, so it is kept as text. A file source
/// counts its records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(Box<str>);

impl Sequence {
    /// Takes a number as the transport wrote it. Leading zeros are dropped, so that equal numbers are equal.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let digits = text.trim_start_matches('0');
        Self(if digits.is_empty() { "0" } else { digits }.into())
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Sequence {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of one record: a shard (or what stands for one: a file), its sequence number there, and, inside an
/// aggregate, the number of the sub-record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The shard's id, or the path of a file.
    pub shard: Arc<str>,
    /// The record's number in the shard.
    pub sequence: Sequence,
    /// The number inside an aggregated record; 0 for a plain one.
    pub sub_sequence: u64,
}

impl Position {
    /// The position of a plain record.
    #[must_use]
    pub fn new(shard: Arc<str>, sequence: Sequence) -> Self {
        Self { shard, sequence, sub_sequence: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shard, self.sequence)?;
        if self.sub_sequence > 0 { write!(f, "/{}", self.sub_sequence) } else { Ok(()) }
    }
}
