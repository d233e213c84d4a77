//! Events to pairs of lines, an action and a document. Pure.

use std::io::Write as _;

use jiff::Timestamp;

use crate::delivery::EventView;
use crate::sink::Format;
use crate::sink::format::push_string;

/// The milliseconds of the years 1 to 9999, what Elasticsearch's strict date format can spell; jiff itself ends 26 hours
/// earlier, so that every time zone has room.
const SPELLABLE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// How events become documents.
#[derive(Clone, Debug)]
pub(super) struct Framing {
    pub(super) format: Format,
    /// The namespace of the integration's data streams, where events go to those.
    pub(super) namespace: Option<String>,
}

impl Framing {
    /// Appends one event: `{"create":{"_id":".."}}`, a line break, the document, a line break. The index stands in the URL,
    /// or, where the log type has a data stream of its own, beside the id.
    pub(super) fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"create\":{\"_id\":\"");
        for byte in event.row.id {
            let _written = write!(out, "{byte:02x}");
        }
        out.push(b'"');
        let dataset = event.names().and_then(|names| names.dataset.as_deref());
        if let (Some(namespace), Some(dataset)) = (&self.namespace, dataset) {
            out.extend_from_slice(b",\"_index\":");
            push_string(format!("logs-{dataset}-{namespace}").as_bytes(), out);
        }
        out.extend_from_slice(b"}}\n");
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
        out.push(b'\n');
    }
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
