//! Envelopes: from the bytes of a record to the events in it. Floor 2, pure.
//!
//! [`Peeler::peel`] undoes what stands around the events, in any nesting, until nothing matches any more, and gives
//! [`Piece`]s: events, things filtered by a named rule, and broken parts whose neighbours live. A record that breaks a bound,
//! or whose compression is broken, is refused whole ([`Refusal`]). Bad input beyond that is data: it becomes a text event,
//! with a [`Complaint`]. Bytes are scanned and sliced, never made into a tree; what must be decompressed or unescaped goes
//! into layers that are reused, and an event's body is a slice of one of them.
//!
//! One file per envelope: `codec` (gzip, zlib, zstd), `kpl` (aggregates of the Kinesis Producer Library), `cloudwatch_logs`,
//! `eventbridge`, `cloudtrail`, `findings`, `sns`, `sqs`, `lambda` (the events of Kinesis, SNS, SQS and CloudWatch Logs for
//! functions), `firehose`, `s3`, and `lines` (documents one after the other, and plain text). `document` tries those on one
//! object that are objects, and `carried` takes in what they carry: records within the record, and text.

mod carried;
mod cloudtrail;
mod cloudwatch_logs;
mod codec;
mod context;
mod document;
mod eventbridge;
mod findings;
mod firehose;
mod gzip;
pub mod kpl;
mod lambda;
mod layer;
mod limits;
mod lines;
mod peel;
mod piece;
mod s3;
mod scan;
mod sns;
mod sqs;
mod store;
#[cfg(test)]
mod tests;
mod unescape;

pub use context::{Context, Field};
pub use limits::Limits;
pub use peel::{Peeled, Peeler};
pub use piece::{Complaint, Oddity, Piece, Refusal};
pub(crate) use scan::members_of;

/// One occurrence: the bytes of the event, free of its envelopes, and what the envelopes told about it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'p> {
    /// The number of the event in its record, from 0, in the order of the record. Stable over re-reads.
    pub index: u32,
    /// The event as it was written, never altered: one JSON document, or a text.
    pub body: &'p [u8],
    /// What the body is.
    pub form: Form,
    /// What the envelopes told.
    pub context: &'p Context,
}

/// What the body of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON document: an object, structurally complete as far as a scan can tell.
    Json,
    /// UTF-8 text that is no JSON object.
    Text,
}
