//! What a record turned out to hold.

use super::Event;

/// One piece of a record. Every record yields at least one, or is refused whole.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'p> {
    /// An event.
    Event(Event<'p>),
    /// Something that carries no event, filtered by a named rule.
    Filtered {
        /// The piece's number in its record, from 0.
        index: u32,
        /// The rule: `cloudtrail_digest`, `cloudwatch_logs_control_message`, `empty_aggregate`, `empty_list`, `header_line`,
        /// `s3_test_event` or `sns_confirmation`.
        rule: &'static str,
    },
    /// One broken part of a record whose other parts live.
    Refused {
        /// The piece's number in its record, from 0.
        index: u32,
        /// What is wrong with it: `invalid_utf8`, `trailing_bytes`, `broken_aggregate`; or, of a record within the record
        /// (a user record of an aggregate, a record of a Lambda event or a Firehose request), why it was refused: a code
        /// of [`Refusal`].
        code: &'static str,
        /// Its bytes as they stand in the record, decompressed.
        body: &'p [u8],
    },
}

impl Piece<'_> {
    /// The piece's number in its record, from 0, in the order of the record. Stable over re-reads.
    #[must_use]
    pub const fn index(&self) -> u32 {
        match self {
            Self::Event(event) => event.index,
            Self::Filtered { index, .. } | Self::Refused { index, .. } => *index,
        }
    }
}

/// Why a record is dead-lettered whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words} ({code})")]
pub struct Refusal {
    /// A stable code: the name of the bound of [`Limits`](super::Limits) that it broke, `empty_record`,
    /// `truncated_gzip`, `corrupt_gzip`, and the same two for `zlib` and `zstd`.
    pub code: &'static str,
    /// What was found, in plain words.
    pub words: String,
}

impl Refusal {
    /// Whether no part of the record can be had any more: what the record as a whole may become is used up.
    pub(super) fn is_of_the_whole(&self) -> bool {
        matches!(self.code, "decompressed_bytes_max" | "events_per_record_max")
    }
}

/// Something odd in a record that was survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The number of the piece that it is about, or of the first piece where it is about the whole record.
    pub index: u32,
    /// What is odd.
    pub oddity: Oddity,
}

/// What may be odd about a record or a piece of it and yet be survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A byte order mark stood before the text. It was taken away.
    ByteOrderMark,
    /// A line or log event begins like a JSON document and is none. It became a text event.
    BrokenJson,
    /// A JSON string of an envelope holds half of a surrogate pair. It became U+FFFD.
    LoneSurrogate,
    /// Zeros stood behind the compressed data. They were left out.
    TrailingZeros,
    /// An envelope has a key twice. It was not opened: the whole of it is the event.
    DuplicateKey,
    /// A log event of a CloudWatch Logs subscription has no message. The whole of it is the event.
    MessageMissing,
    /// What an envelope told is not UTF-8. Its broken parts became U+FFFD.
    ContextNotUtf8,
    /// A record of a Firehose request has no data. The whole of it is the event.
    DataMissing,
    /// What an envelope holds is not the base64 that it should be. The whole of the envelope is the event.
    BrokenBase64,
}

impl Oddity {
    /// The oddity's stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::BrokenJson => "broken_json",
            Self::LoneSurrogate => "lone_surrogate",
            Self::TrailingZeros => "trailing_zeros",
            Self::DuplicateKey => "duplicate_key",
            Self::MessageMissing => "message_missing",
            Self::ContextNotUtf8 => "context_not_utf8",
            Self::DataMissing => "data_missing",
            Self::BrokenBase64 => "broken_base64",
        }
    }
}
