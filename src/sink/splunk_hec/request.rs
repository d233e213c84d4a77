//! Events to HEC envelopes. Pure.
//!
//! Only the known keys of the envelope are ever written (`time host source sourcetype index event fields`): an unknown one
//! is answered with 200 and silently costs this and all later objects of the request. Nothing carries over from one object
//! to the next, so each says everything. `fields` is flat.

use std::borrow::Cow;
use std::io::Write as _;

use super::SplunkHecOptions;
use crate::delivery::EventView;
use crate::sink::Format;
use crate::sink::format::{push_json_or_string, push_string};

/// The add-on's sourcetype for JSON that came through Firehose: it extracts the fields and knows no more.
const UNKNOWN_SOURCETYPE: &str = "aws:firehose:json";

/// The last millisecond of the year 9999. Splunk reads a `time` of 13 digits as milliseconds, so larger ones would mean
/// something else.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Writes envelopes after the options.
#[derive(Debug)]
pub(super) struct Framing {
    format: Format,
    /// `,"host":"..","index":"..","source":"..","sourcetype":".."`, as far as the options say them.
    fixed: Vec<u8>,
    source_is_fixed: bool,
    sourcetype_is_fixed: bool,
}

impl Framing {
    pub(super) fn new(options: &SplunkHecOptions) -> Self {
        let mut fixed = Vec::new();
        for (key, value) in [
            ("host", options.host.as_deref()),
            ("index", options.index.as_deref()),
            ("source", options.source.as_deref()),
            ("sourcetype", options.sourcetype.as_deref()),
        ] {
            if let Some(value) = value {
                push_member(key, value, &mut fixed);
            }
        }
        Self {
            format: options.format,
            fixed,
            source_is_fixed: options.source.is_some(),
            sourcetype_is_fixed: options.sourcetype.is_some(),
        }
    }

    /// Appends the envelope of one event and a line break, which HEC does not need and people who look at a request do.
    pub(super) fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"event\":");
        match self.format.document(event) {
            Some(document) => out.extend_from_slice(document),
            None => push_json_or_string(event.raw(), out),
        }
        push_time(event.row.time_ms, out);
        out.extend_from_slice(&self.fixed);
        if !self.source_is_fixed {
            push_member("source", event.source(), out);
        }
        if !self.sourcetype_is_fixed {
            push_member("sourcetype", &sourcetype(self.format, event), out);
        }
        out.extend_from_slice(b",\"fields\":{\"siemline_uid\":\"");
        for byte in event.row.id {
            let _written = write!(out, "{byte:02x}");
        }
        out.push(b'"');
        push_member("log_type", &event.row.log_type, out);
        out.extend_from_slice(b"}}\n");
    }
}

/// The sourcetype of an event: in its raw form the one that the Splunk Add-on for AWS has for the log type, or
/// [`UNKNOWN_SOURCETYPE`]; as OCSF the same behind `ocsf:`, as the add-on itself names Security Hub's OCSF findings; in
/// another vocabulary one of ours, so that the add-on's search-time fields are not laid over those in the event.
fn sourcetype(format: Format, event: EventView<'_>) -> Cow<'_, str> {
    let known = event.names().and_then(|names| names.sourcetype.as_deref());
    let own = || event.row.log_type.replace('.', ":");
    match (format, known) {
        (Format::Raw, known) => Cow::Borrowed(known.unwrap_or(UNKNOWN_SOURCETYPE)),
        (Format::Ocsf, Some(known)) => Cow::Owned(format!("ocsf:{known}")),
        (Format::Ocsf, None) => Cow::Owned(format!("ocsf:{}", own())),
        (Format::Ecs | Format::Cim, _) => Cow::Owned(format!("siemline:{}:{}", own(), format.name())),
    }
}

/// `time` in seconds with milliseconds. Before 1970 and after 9999 none is written: Splunk then takes the time of arrival,
/// and the event still tells its own.
fn push_time(time_ms: i64, out: &mut Vec<u8>) {
    if (0..=TIME_MS_MAX).contains(&time_ms) {
        let _written = write!(out, ",\"time\":{}.{:03}", time_ms / 1000, time_ms % 1000);
    }
}

fn push_member(key: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    push_string(value.as_bytes(), out);
}
