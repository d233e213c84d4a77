//! Dead letters as a source: what lies in their files is sent again.
//!
//! A letter is one chunk. Its record has the position that it had when it was first read, so that its events have the ids
//! that they had; what the envelopes told stands beside it.

mod filter;
mod remove;
mod source;
#[cfg(test)]
mod tests;

pub use filter::Filter;
pub use remove::remove;
pub use source::{Counts, DeadLetterSource, Done, Error, Letters, Line, Replay, find};
