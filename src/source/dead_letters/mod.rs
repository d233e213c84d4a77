//! Dead letters as a source: what lies in their files and stores is sent again.
//!
//! A letter is one chunk. Its record has the position that it had when it was first read, so that its events have the ids
//! that they had; what the envelopes told stands beside it.

mod error;
mod files;
mod filter;
mod pile;
mod remove;
mod source;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use files::{Letters, Line, find};
pub use filter::Filter;
pub use pile::{Found, Holder, Pile, Place, ReadLetters};
pub use remove::remove;
pub use source::{Counts, DeadLetterSource, Done, Replay};
