//! S3: an archive of events as NDJSON objects.
//!
//! An object is there whole or not at all, and has everything of its batch: S3 never refuses a part of it. Its name is made
//! of its events' ids, so that a batch that is sent again, because the answer was lost, takes its own place.
//!
//! The same calls keep dead letters in a bucket ([`LetterBucket`]).

mod letter_options;
mod letters;
mod objects;
mod options;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use letter_options::LetterBucketOptions;
pub use letters::{LetterBucket, LettersOfBucket, letter_permissions, replay_permissions};
pub use options::{ArchiveCompression, Encryption, S3Options, StorageClass};
pub use sink::{S3Sink, permissions};
