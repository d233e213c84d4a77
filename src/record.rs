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
    /// Set where it is a dead letter that is sent again.
    pub again: Option<Arc<Again>>,
}

/// What is known of a dead letter that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// The data is one event of the record that stood at the position, free of its envelopes. `None`: it is what was read.
    pub event: Option<KnownEvent>,
    /// The one sink that is to have it; `None` where it never came to a sink.
    pub sink: Option<Arc<str>>,
    /// Whether that sink gets it whatever the routes say.
    pub straight: bool,
}

/// What is known of an event besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEvent {
    /// Its number in the record.
    pub index: u32,
    /// Whether it is a text, and no JSON.
    pub is_text: bool,
    /// What its envelopes told, by name.
    pub envelope: Vec<(Box<str>, Box<str>)>,
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
