//! Where events go to. Floor 7.
//!
//! Every folder has the same files: `options.rs` (what the configuration says), `request.rs` (pure: events to bytes),
//! `response.rs` (pure: an answer to verdicts), `sink.rs` (the I/O), `tests.rs`. A sink sends once and says what it was
//! told; retrying, splitting, pausing and pacing are the lane's ([`delivery`](crate::delivery)).

pub mod elastic;
pub mod file;
pub mod firehose;
mod format;
pub mod http;
pub mod kafka;
pub mod s3;
#[cfg(test)]
mod sample;
pub mod splunk_hec;
pub mod stdout;
pub mod sumo;
pub mod template;

pub use format::{Format, push_raw_line};

use crate::secret;

/// A sink that cannot be made of what the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret cannot be had.
    #[error("{option}: {error}")]
    Secret {
        /// Which option.
        option: &'static str,
        /// Why.
        error: secret::Error,
    },
    /// The endpoint or the client's options are wrong.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
    /// An option of its lane is wrong.
    #[error("lane: {0}")]
    Lane(#[from] crate::delivery::OptionsError),
    /// An option is wrong, or two contradict each other.
    #[error("{option}: {words}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What is wrong, and the remedy.
        words: String,
    },
}
