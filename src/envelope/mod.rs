//! Envelopes: from the bytes of a record to the events in it. Floor 2, pure.

mod context;

pub use context::{Context, Field};

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
