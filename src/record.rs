//! What a source hands on: records and chunks of them. Floor 1.

use std::sync::Arc;

use bytes::Bytes;

use crate::ack::{Position, Receipt};

/// The bytes one transport handed over, as they came (compressed, if they came so).
#[derive(Clone, Debug)]
pub struct Record {
    /// The bytes. Cheap to clone: they are shared, never copied.
    pub data: Bytes,
    /// Where it stands in its source.
    pub position: Position,
    /// When the transport took it in, in milliseconds since 1970; `None` where the transport does not say.
    pub arrival_ms: Option<i64>,
    /// The rule of the source that lets the record go: it is one event, filtered by this name, whose position counts like any
    /// other's.
    pub let_go: Option<&'static str>,
}

/// A run of records of one shard, in the shard's order, and the receipt for all of them.
#[derive(Debug)]
pub struct Chunk {
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// The records; at least one.
    pub records: Vec<Record>,
    /// The first share: whoever takes the chunk settles it or passes shares of it on.
    pub receipt: Receipt,
    /// Set when the records have been abandoned so often that they go to the dead letters whole, unread.
    pub give_up: bool,
    /// The room this chunk takes of `in_flight_bytes_max`, given back when the last part of it is settled.
    pub charge: crate::budget::Charge,
}
