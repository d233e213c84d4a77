//! Events to bodies. Pure.

use std::borrow::Cow;

use super::BodyForm;
use crate::delivery::{Batch, EventView};
use crate::sink::Format;
use crate::sink::format::push_json_or_string;

impl BodyForm {
    /// The `Content-Type` that goes with it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::JsonArray => "application/json",
        }
    }

    /// What ends each entry.
    const fn separator(self) -> u8 {
        match self {
            Self::Ndjson => b'\n',
            Self::JsonArray => b',',
        }
    }

    /// Appends one event and what stands between it and the next.
    pub(super) fn push(self, format: Format, event: EventView<'_>, out: &mut Vec<u8>) {
        match format.document(event) {
            Some(document) => out.extend_from_slice(document),
            None => push_json_or_string(event.raw(), out),
        }
        out.push(self.separator());
    }

    /// The body of a request, before compression.
    pub(super) fn body(self, batch: &Batch) -> Cow<'_, [u8]> {
        match self {
            Self::Ndjson => Cow::Borrowed(batch.body()),
            Self::JsonArray => {
                let members = batch.body().strip_suffix(b",").unwrap_or(batch.body());
                Cow::Owned([b"[", members, b"]"].concat())
            }
        }
    }
}
