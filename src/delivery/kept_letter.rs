//! Dead letters as they lie in a store, to be sent again. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

use super::LINE_VERSION;

/// A dead letter as [`DeadLetter::write_line`](super::DeadLetter::write_line) wrote it, of this version or an older one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeptLetter {
    v: u32,
    /// Which part of a record it is: `event`, `piece` or `record`; `None` before version 2.
    pub what: Option<KeptWhat>,
    /// Why it is a dead letter.
    pub reason: String,
    /// The code of that.
    pub code: String,
    /// The sink that could not have it.
    pub sink: Option<String>,
    /// The source that it was read from.
    pub source: String,
    /// Where it stood there.
    pub shard: String,
    /// The number of its record there.
    pub sequence: String,
    /// The number of its record in an aggregate.
    pub sub_sequence: u64,
    /// The number of the event in its record.
    pub event_index: Option<u32>,
    /// Its log type, where it came to have one.
    pub log_type: Option<String>,
    /// When it was last sent.
    last_time: serde_json::Value,
    /// Whether an event is text, and no JSON.
    #[serde(default)]
    pub is_text: bool,
    /// When the transport took the record in, in milliseconds since 1970.
    pub arrival_ms: Option<i64>,
    /// What the envelopes told of an event.
    #[serde(default)]
    pub envelope: BTreeMap<String, String>,
    original: Option<String>,
    original_base64: Option<String>,
}

/// Which part of a record a dead letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptWhat {
    /// An event, free of its envelopes.
    Event,
    /// A broken piece of a record.
    Piece,
    /// A whole record.
    Record,
}

/// A line that is no dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// It cannot be read.
    #[error("this is no dead letter: {0}")]
    Line(String),
    /// A later siemline wrote it.
    #[error("a later siemline wrote this dead letter (version {0}, this one knows {LINE_VERSION}): update siemline")]
    Version(u32),
}

impl KeptLetter {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// When it is no dead letter of a version that is known.
    pub fn parse(line: &[u8]) -> Result<Self, KeptError> {
        let letter: Self = serde_json::from_slice(line).map_err(|error| KeptError::Line(error.to_string()))?;
        if letter.v > LINE_VERSION {
            return Err(KeptError::Version(letter.v));
        }
        if letter.original.is_none() && letter.original_base64.is_none() {
            return Err(KeptError::Line("it has no original".to_owned()));
        }
        Ok(letter)
    }

    /// What was read.
    ///
    /// # Errors
    ///
    /// When its base64 is none.
    pub fn original(&self) -> Result<Vec<u8>, KeptError> {
        match (&self.original, &self.original_base64) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| KeptError::Line(error.to_string())),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// When it was last sent, or was found to be broken.
    #[must_use]
    pub fn last_time(&self) -> Option<Timestamp> {
        match &self.last_time {
            serde_json::Value::String(text) => text.parse().ok(),
            other => Timestamp::from_millisecond(other.as_i64()?).ok(),
        }
    }
}
