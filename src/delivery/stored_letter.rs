//! Dead letters as stores on the network take and give them.

use std::sync::Arc;

use bytes::Bytes;

/// A dead letter in its written form, with what a store wants to know of it besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenLetter {
    /// Its line, the line feed included.
    pub line: Vec<u8>,
    /// The source it was read from.
    pub source: Arc<str>,
    /// The shard of that.
    pub shard: Arc<str>,
    /// When it was last sent, in milliseconds since 1970. It comes with the letter and from no clock: what is made of it is the
    /// same however often the letter is written.
    pub last_ms: i64,
}

/// A line that lies in a store, with the place from which it can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLine {
    /// What holds it: the key of an object.
    pub holder: Arc<str>,
    /// What tells it from the others there.
    pub mark: u64,
    /// The line, without its line feed. It may be no letter.
    pub line: Bytes,
}
