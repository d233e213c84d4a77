//! EventBridge: `{"detail-type": .., "source": .., "detail": {..}}`.
//!
//! Source: Amazon EventBridge User Guide, "Event structure reference". Only the three are required here, because rules
//! with an input transformer often leave the rest out.

use super::Field;
use super::document::{self, Document};
use super::layer::{Layer, Span};
use super::piece::Refusal;
use super::scan;
use super::store::{Place, Store};

/// The keys that go into the context.
const TOLD: [(&str, Field); 7] = [
    ("source", Field::Source),
    ("detail-type", Field::DetailType),
    ("id", Field::Id),
    ("time", Field::Time),
    ("account", Field::Account),
    ("region", Field::Region),
    ("version", Field::Version),
];

/// An EventBridge event.
pub(super) struct Wrapped<'d> {
    document: Document<'d>,
    detail: Span<'d>,
}

/// The event, if the object is one. With a `detail` that is no object it is none: the whole stays the event.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Wrapped<'d>> {
    scan::string_content(document.value("detail-type")?)?;
    scan::string_content(document.value("source")?)?;
    let detail = document.part("detail").filter(|detail| detail.bytes.starts_with(b"{"))?;
    Some(Wrapped { document: *document, detail })
}

/// Tells the context what stands around `detail`, and takes `detail` in.
pub(super) fn open(wrapped: &Wrapped<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let place = store.derive(place)?;
    for (key, field) in TOLD {
        if let Some(value) = wrapped.document.value(key) {
            store.tell(place, field, value)?;
        }
    }
    document::inner(wrapped.detail, store, above, place)
}
