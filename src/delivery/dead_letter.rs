//! Dead letters: what cannot be delivered, kept whole with the reason.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::Block;

/// The version of the line that [`DeadLetter::write_line`] writes.
pub const LINE_VERSION: u32 = 2;

/// Something that cannot be delivered, with the block that its bytes are peeled from again.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The block it stands in.
    pub block: Arc<Block>,
    /// Which part of the block.
    pub what: What,
    /// Why, as one of a closed set.
    pub reason: DeadReason,
    /// Why, in a stable code of ours or of the destination's.
    pub code: Cow<'static, str>,
    /// Why, in the destination's own last words, or in ours where no destination was asked.
    pub words: String,
    /// The sink that could not have it; `None` where it never came to a sink.
    pub sink: Option<Arc<str>>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was first sent, or when it was found to be broken, in milliseconds since 1970.
    pub first_ms: i64,
    /// When it was last sent, in milliseconds since 1970.
    pub last_ms: i64,
}

/// Which part of a block a dead letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A normalized event: the number of its row in the block.
    Row(u32),
    /// A piece of a record that became no row: the number of the record in the block, and of the event in the record.
    Piece {
        /// The number of the record in the block.
        record: u32,
        /// The number of the event in the record.
        index: u32,
    },
    /// A whole record: its number in the block.
    Record(u32),
}

/// What a dead letter is about, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original<'a> {
    /// An event, free of its envelopes, and what those told, by name.
    Event {
        /// Its bytes.
        body: &'a [u8],
        /// Whether it is a text, and no JSON.
        is_text: bool,
        /// What the envelopes told.
        envelope: BTreeMap<&'a str, &'a str>,
    },
    /// A broken piece of a record.
    Piece(&'a [u8]),
    /// A whole record.
    Record(&'a [u8]),
}

/// Why something is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadReason {
    /// The destination refused it for good.
    Refused,
    /// The destination answered "try again" to it too often while it accepted others.
    EntryRetryMax,
    /// It alone is larger than what the destination takes, as the destination says.
    TooLarge,
    /// It is larger than `event_bytes_max`, also without what it could go without. It was never sent.
    Oversize,
    /// It exceeds a named bound of ours (decompressed size, depth, events in a record).
    OverBound,
    /// It is broken: no event can be made of it.
    Broken,
    /// Reading it has failed so often that it is given up whole.
    Abandoned,
}

impl DeadReason {
    /// The reason as it is written in a line and in a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::EntryRetryMax => "entry_retry_max",
            Self::TooLarge => "too_large",
            Self::Oversize => "oversize",
            Self::OverBound => "over_bound",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Where dead letters are kept.
pub trait DeadLetters: Send + Sync + 'static {
    /// Keeps these letters, and completes only when they are durably kept. It retries by itself, without bound: that it
    /// does not complete is the backpressure. Dropping the future midway is safe in the sense of the house: the letters
    /// may or may not be kept, and their events are read again.
    fn keep(&self, letters: Vec<DeadLetter>) -> impl Future<Output = ()> + Send;
}

impl<D: DeadLetters> DeadLetters for Arc<D> {
    fn keep(&self, letters: Vec<DeadLetter>) -> impl Future<Output = ()> + Send {
        (**self).keep(letters)
    }
}

/// The line of a dead letter, in the order of its keys.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    what: &'static str,
    reason: &'static str,
    code: &'a str,
    words: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    source: &'a str,
    shard: &'a str,
    sequence: &'a str,
    sub_sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_type: Option<&'a str>,
    attempts: u32,
    first_time: Time,
    last_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival_ms: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_text: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    envelope: &'a BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_base64: Option<String>,
}

/// Milliseconds since 1970, spelled as RFC 3339 in UTC; the bare number where no calendar reaches.
struct Time(i64);

impl DeadLetter {
    /// The number of the record in the block, and of the event in the record where one event is meant.
    #[must_use]
    pub fn place(&self) -> (u32, Option<u32>) {
        match self.what {
            What::Row(row) => match self.block.row(row) {
                Some(row) => (row.record, Some(row.index)),
                None => (u32::MAX, None),
            },
            What::Piece { record, index } => (record, Some(index)),
            What::Record(record) => (record, None),
        }
    }

    /// Appends the letter as one JSON line, the line feed included. The original is written as text, or, where it is no
    /// UTF-8, under `original_base64`.
    pub fn write_line(&self, original: &Original<'_>, out: &mut Vec<u8>) {
        let (record, event_index) = self.place();
        let record = self.block.record(record);
        let position = record.map(|record| &record.position);
        let nothing = BTreeMap::new();
        let (what, original, is_text, envelope) = match original {
            Original::Event { body, is_text, envelope } => ("event", *body, *is_text, envelope),
            Original::Piece(bytes) => ("piece", *bytes, false, &nothing),
            Original::Record(bytes) => ("record", *bytes, false, &nothing),
        };
        let log_type = match self.what {
            What::Row(row) => self.block.row(row).map(|row| &*row.log_type),
            What::Piece { .. } | What::Record(_) => None,
        };
        let text = std::str::from_utf8(original).ok();
        let line = Line {
            v: LINE_VERSION,
            what,
            reason: self.reason.name(),
            code: &self.code,
            words: &self.words,
            sink: self.sink.as_deref(),
            source: &self.block.source,
            shard: position.map_or("", |position| &*position.shard),
            sequence: position.map_or("", |position| position.sequence.as_str()),
            sub_sequence: position.map_or(0, |position| position.sub_sequence),
            event_index,
            log_type,
            attempts: self.attempts,
            first_time: Time(self.first_ms),
            last_time: Time(self.last_ms),
            arrival_ms: record.and_then(|record| record.arrival_ms),
            is_text,
            envelope,
            original: text,
            original_base64: text.is_none().then(|| STANDARD.encode(original)),
        };
        let written = serde_json::to_writer(&mut *out, &line);
        debug_assert!(written.is_ok(), "texts and numbers, written to memory");
        out.push(b'\n');
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => serializer.collect_str(&format_args!("{time:.3}")),
            Err(_) => serializer.serialize_i64(self.0),
        }
    }
}
