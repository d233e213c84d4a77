//! Events to pairs of lines, an action and a document: one pair for the event, and one for the finding's latest state where
//! that is kept. Pure.

use std::io::Write as _;

use jiff::Timestamp;

use super::ElasticOptions;
use super::latest::{State, state};
use super::names::Names;
use crate::delivery::EventView;
use crate::sink::format::push_string;
use crate::sink::{self, Format};

/// The milliseconds of the years 1 to 9999, what Elasticsearch's strict date format can spell; jiff itself ends 26 hours
/// earlier, so that every time zone has room.
const SPELLABLE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// How events become documents.
#[derive(Debug)]
pub(super) struct Framing {
    format: Format,
    /// Whether documents get ids of ours.
    has_ids: bool,
    pub(super) names: Names,
}

impl Framing {
    /// The framing that these options say.
    pub(super) fn new(options: &ElasticOptions) -> Result<Self, sink::Error> {
        Ok(Self { format: options.format, has_ids: options.document_ids, names: Names::new(options)? })
    }

    /// Appends one event: `{"create":{"_id":".."}}`, a line break, the document, a line break. The index stands in the URL,
    /// or, where it is not the same for all, beside the id. A finding's latest state follows as a second pair of lines.
    pub(super) fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"create\":{");
        if self.has_ids {
            push_id(&event.row.id, out);
            out.push(b',');
        }
        if !self.names.push_stream(event, out) && out.last() == Some(&b',') {
            out.pop();
        }
        out.extend_from_slice(b"}}\n");
        let start = out.len();
        self.push_document(event, out);
        out.push(b'\n');
        let end = out.len();
        let state = if self.names.has_latest() { state(event) } else { None };
        if let Some(State { id, version }) = state {
            out.extend_from_slice(b"{\"index\":{");
            push_id(&id, out);
            out.push(b',');
            self.names.push_latest(event, out);
            // An older version is answered with 409; the same one, sent again, takes its own place.
            let _written = writeln!(out, ",\"version\":{version},\"version_type\":\"external_gte\"}}}}");
            out.extend_from_within(start..end);
        }
    }

    fn push_document(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match (self.format, self.format.document(event)) {
            // It has its time.
            (Format::Ecs, Some(document)) => out.extend_from_slice(document),
            (_, Some(document)) => {
                push_timestamp(event.row.time_ms, out);
                push_members(document, out);
            }
            (_, None) => {
                push_timestamp(event.row.time_ms, out);
                out.extend_from_slice(b",\"message\":");
                push_string(event.raw(), out);
                out.extend_from_slice(b",\"siemline\":{\"log_type\":");
                push_string(event.row.log_type.as_bytes(), out);
                out.extend_from_slice(b"}}");
            }
        }
    }

    /// How many documents a frame has: one, or with a finding's latest state two. A document and an action are a line each.
    pub(super) fn documents(&self, frame: &[u8]) -> usize {
        if self.names.has_latest() { memchr::memchr_iter(b'\n', frame).count() / 2 } else { 1 }
    }
}

fn push_id(id: &[u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"_id\":\"");
    for byte in id {
        let _written = write!(out, "{byte:02x}");
    }
    out.push(b'"');
}

/// Appends what follows the first brace of an object that is already in one line, so that it goes on the object begun.
fn push_members(document: &[u8], out: &mut Vec<u8>) {
    let members = document.strip_prefix(b"{").unwrap_or(b"}");
    debug_assert!(document.starts_with(b"{") && !document.contains(&b'\n'), "a document is an object in one line");
    if members != b"}" {
        out.push(b',');
    }
    out.extend_from_slice(members);
}

/// The beginning of a document, up to its time: ISO 8601 with milliseconds; as the number of milliseconds where no such
/// text is allowed.
fn push_timestamp(time_ms: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"@timestamp\":");
    let spelled = SPELLABLE_MS.contains(&time_ms).then(|| Timestamp::from_millisecond(time_ms));
    let _written = match spelled {
        Some(Ok(at)) => write!(out, "\"{at:.3}\""),
        _ => write!(out, "{time_ms}"),
    };
}
