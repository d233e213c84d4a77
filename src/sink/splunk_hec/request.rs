//! Events to what HEC takes: envelopes, or bare lines. Pure.
//!
//! Only the known keys of the envelope are ever written (`time host source sourcetype index event fields`): an unknown one
//! is answered with 200 and silently costs this and all later objects of the request. Nothing carries over from one object
//! to the next, so each says everything. `fields` is flat.
//!
//! To the raw endpoint the same is said once a request, in the query; so all entries of a batch have it in common there.

use std::io::Write as _;

use super::metadata::{Key, Metadata, Wrong};
use super::{Mode, SplunkHecOptions};
use crate::delivery::EventView;
use crate::http::Url;
use crate::sink::Format;
use crate::sink::format::{push_json_or_string, push_string};

/// The last millisecond of the year 9999. Splunk reads a `time` of 13 digits as milliseconds, so larger ones would mean
/// something else.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Stands between the texts of a bucket; no text holds it.
const BETWEEN: u8 = b'\n';

/// What a bucket says in raw mode, in this order. In event mode it is the index alone: the code for a wrong index (7) comes
/// with a number that cannot be trusted, so that a batch has one index.
const RAW_KEYS: [Key; 4] = [Key::Index, Key::Host, Key::Source, Key::Sourcetype];

/// Writes events after the options.
#[derive(Debug)]
pub(super) struct Framing {
    mode: Mode,
    format: Format,
    metadata: Metadata,
    /// `,"host":"..","index":"..","source":"..","sourcetype":".."`, as far as they are the same for all events.
    fixed: Vec<u8>,
}

impl Framing {
    pub fn new(options: &SplunkHecOptions) -> Result<Self, Wrong> {
        let metadata = Metadata::new(options)?;
        let mut fixed = Vec::new();
        for key in Key::ALL {
            if let Some(text) = metadata.fixed(key) {
                push_member(key.name(), text, &mut fixed);
            }
        }
        Ok(Self { mode: options.mode, format: options.format, metadata, fixed })
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The index that all events go to, where the options name one.
    pub fn fixed_index(&self) -> Option<&str> {
        self.metadata.fixed(Key::Index)
    }

    /// Says whether the index goes by the event.
    pub fn has_many_indexes(&self) -> bool {
        self.metadata.is_filled(Key::Index)
    }

    /// Appends what the batch of this event has in common.
    pub fn push_bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self.mode {
            Mode::Event => out.extend_from_slice(self.metadata.of_event(Key::Index, event).as_bytes()),
            Mode::Raw => {
                for key in RAW_KEYS {
                    out.extend_from_slice(self.metadata.of_event(key, event).as_bytes());
                    out.push(BETWEEN);
                }
            }
        }
    }

    /// Appends one event.
    pub fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self.mode {
            Mode::Event => self.push_envelope(event, out),
            Mode::Raw => self.push_line(event, out),
        }
    }

    /// The envelope of one event and a line break, which HEC does not need and people who look at a request do.
    fn push_envelope(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"event\":");
        match self.format.document(event) {
            Some(document) => out.extend_from_slice(document),
            None => push_json_or_string(event.raw(), out),
        }
        push_time(event.row.time_ms, out);
        out.extend_from_slice(&self.fixed);
        for key in Key::ALL {
            if self.metadata.fixed(key).is_none() {
                let text = self.metadata.of_event(key, event);
                if !text.is_empty() {
                    push_member(key.name(), &text, out);
                }
            }
        }
        out.extend_from_slice(b",\"fields\":{\"siemline_uid\":\"");
        push_hex(event.row.id, out);
        out.push(b'"');
        push_member("log_type", &event.row.log_type, out);
        out.extend_from_slice(b"}}\n");
    }

    /// One event in one line. What is no UTF-8 is replaced, as Splunk would do by the sourcetype's rules.
    fn push_line(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self.format.document(event) {
            Some(document) => out.extend_from_slice(document),
            None if is_one_line(event.raw()) => out.extend_from_slice(String::from_utf8_lossy(event.raw()).as_bytes()),
            None => push_json_or_string(event.raw(), out),
        }
        out.push(b'\n');
    }
}

/// The index that a bucket's entries go to; empty for the token's own.
pub(super) fn index_of(bucket: &[u8]) -> &[u8] {
    bucket.split(|byte| *byte == BETWEEN).next().unwrap_or_default()
}

/// The bucket of an index, with nothing said besides.
pub(super) fn bucket_of(index: &str) -> Vec<u8> {
    [index.as_bytes(), &[BETWEEN]].concat()
}

/// The address of a raw request for the entries of a bucket.
pub(super) fn raw_url(raw: &Url, bucket: &[u8]) -> Url {
    let mut url = raw.clone();
    let texts = bucket.split(|byte| *byte == BETWEEN).filter_map(|text| std::str::from_utf8(text).ok());
    let said: Vec<(Key, &str)> = RAW_KEYS.into_iter().zip(texts).filter(|(_, text)| !text.is_empty()).collect();
    if !said.is_empty() {
        let mut query = url.query_pairs_mut();
        for (key, text) in said {
            query.append_pair(key.name(), text);
        }
    }
    url
}

/// An event of ours that says it is one, to see whether it arrives.
pub(super) fn canary(mode: Mode, uid: [u8; 16], time_ms: i64, index: &str) -> Vec<u8> {
    let mut line = b"{\"siemline_canary\":\"".to_vec();
    push_hex(uid, &mut line);
    line.extend_from_slice(b"\"}");
    if mode == Mode::Raw {
        line.push(b'\n');
        return line;
    }
    let mut out = b"{\"event\":".to_vec();
    out.extend_from_slice(&line);
    push_time(time_ms, &mut out);
    if !index.is_empty() {
        push_member("index", index, &mut out);
    }
    push_member("sourcetype", "siemline:canary", &mut out);
    out.extend_from_slice(b",\"fields\":{\"siemline_uid\":\"");
    push_hex(uid, &mut out);
    out.extend_from_slice(b"\"}}\n");
    out
}

/// Says whether a text is one line that can be sent as it is. An empty one is not: an event has to have something in it.
fn is_one_line(text: &[u8]) -> bool {
    !text.trim_ascii().is_empty() && !text.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// `time` in seconds with milliseconds. Before 1970 and after 9999 none is written: Splunk then takes the time of arrival,
/// and the event still tells its own.
fn push_time(time_ms: i64, out: &mut Vec<u8>) {
    if (0..=TIME_MS_MAX).contains(&time_ms) {
        let _written = write!(out, ",\"time\":{}.{:03}", time_ms / 1000, time_ms % 1000);
    }
}

fn push_hex(bytes: [u8; 16], out: &mut Vec<u8>) {
    for byte in bytes {
        let _written = write!(out, "{byte:02x}");
    }
}

fn push_member(key: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    push_string(value.as_bytes(), out);
}
