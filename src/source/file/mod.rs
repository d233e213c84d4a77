//! Files and standard input: for quick starts, replays and pipes.
//!
//! Plain, gzip or zstd (seen by their magic bytes), a line or a whole file per record. It keeps no checkpoint: it ends at
//! the end of its input, when everything is settled. What is abandoned on the way is handed on again from memory, since a
//! pipe cannot be read twice.

mod decode;
mod lines;
mod options;
mod source;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use lines::Lines;
pub use options::{FileOptions, RecordIs};
pub use source::{Error, FileSource, Progress};
