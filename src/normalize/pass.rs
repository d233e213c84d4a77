//! An event that already is OCSF: it goes through as it came, never mapped again, and what is missing is added.
//!
//! What the core schema requires and a producer of `_dt` times leaves out (`time`), the facts of the envelope that go into
//! `metadata` whatever the source, and `metadata.uid`. They are spliced in before the closing brace of the object that they
//! belong to, with no tree in between; what stands there stands as it was.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::BodyDigest;
use super::detect::Ocsf;
use super::json::{push_hex, push_i64, push_string};
use super::run::Outcome;
use crate::envelope::{Context, Field, members_of};

/// The facts of an envelope that go into `metadata`, as `mappings/common.toml` has them: the first field that was told.
const FACTS: [(&str, &[Field]); 4] = [
    ("original_event_uid", &[Field::Id, Field::LogEventId]),
    ("original_time", &[Field::Time]),
    ("log_name", &[Field::LogGroup]),
    ("log_source", &[Field::LogStream]),
];
const LOGGED_TIME: &str = "logged_time";
const UID: &str = "uid";

/// What is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addition {
    Time,
    Metadata,
}

/// Appends the event to `out`, on one line, completed. `log_type` is the name that its `metadata.uid` is made with.
pub(super) fn pass(
    body: &[u8],
    ocsf: &Ocsf<'_>,
    log_type: &str,
    context: &Context,
    digest: &BodyDigest,
    out: &mut Vec<u8>,
) -> Outcome {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let begin = out.len();
    let (mut metadata, mut time) = (None, None);
    members_of(body, |key, value| match body.get(key) {
        Some(b"metadata") => metadata = Some(value),
        Some(b"time") => time = Some(value),
        _ => {}
    });
    // Neither object is empty: without a class and a version it would not have been known for OCSF.
    let mut additions = [
        (Addition::Metadata, metadata.as_ref().map(|metadata| before_brace(metadata.end))),
        (Addition::Time, place_of_time(body, ocsf, time)),
    ];
    additions.sort_by_key(|(_, place)| place.as_ref().map(|place| place.start));
    let mut copied = 0;
    for (addition, place) in additions {
        let Some(place) = place else { continue };
        push_line(out, body.get(copied..place.start).unwrap_or_default());
        copied = place.end;
        match addition {
            Addition::Time if place.is_empty() => {
                out.extend_from_slice(b",\"time\":");
                push_i64(out, ocsf.time_ms);
            }
            Addition::Time => push_i64(out, ocsf.time_ms),
            Addition::Metadata => {
                let metadata = metadata.clone().and_then(|metadata| body.get(metadata)).unwrap_or_default();
                push_facts(metadata, ocsf, log_type, context, digest, out);
            }
        }
    }
    push_line(out, body.get(copied..).unwrap_or_default());
    let written = out.get(begin..).unwrap_or_default();
    Outcome {
        class_uid: ocsf.class_uid,
        severity_id: ocsf.severity,
        time_ms: ocsf.time_ms,
        account: place_of_text(written, begin, ocsf.account),
        region: place_of_text(written, begin, ocsf.region),
    }
}

/// Where `time` goes if only its text twin is there: behind the last member, or over a `null`.
fn place_of_time(body: &[u8], ocsf: &Ocsf<'_>, time: Option<Range<usize>>) -> Option<Range<usize>> {
    match time {
        _ if !ocsf.lacks_time => None,
        None => Some(before_brace(body.len())),
        Some(time) => (body.get(time.clone()) == Some(b"null")).then_some(time),
    }
}

fn before_brace(end: usize) -> Range<usize> {
    let brace = end.saturating_sub(1);
    brace..brace
}

/// Appends the members that `metadata` lacks.
fn push_facts(
    metadata: &[u8],
    ocsf: &Ocsf<'_>,
    log_type: &str,
    context: &Context,
    digest: &BodyDigest,
    out: &mut Vec<u8>,
) {
    let mut has_fact = [false; FACTS.len()];
    let (mut has_logged_time, mut has_uid) = (false, false);
    members_of(metadata, |key, _| {
        let key = metadata.get(key).unwrap_or_default();
        for ((name, _), has_fact) in FACTS.iter().zip(&mut has_fact) {
            *has_fact |= key == name.as_bytes();
        }
        has_logged_time |= key == LOGGED_TIME.as_bytes();
        has_uid |= key == UID.as_bytes();
    });
    for ((name, fields), _) in FACTS.iter().zip(has_fact).filter(|(_, has_fact)| !has_fact) {
        let told = fields.iter().find_map(|field| context.get(*field));
        if let Some(told) = told.filter(|told| !told.is_empty()) {
            push_key(out, name);
            push_string(out, told);
        }
    }
    let logged = context.get(Field::LogEventTime).and_then(|time| time.parse().ok());
    if let Some(logged_ms) = logged.filter(|_| !has_logged_time) {
        push_key(out, LOGGED_TIME);
        push_i64(out, logged_ms);
    }
    if !has_uid {
        push_key(out, UID);
        out.push(b'"');
        push_hex(out, uid(log_type, ocsf.finding, digest).get(..16).unwrap_or_default());
        out.push(b'"');
    }
}

/// As the `uid` of a mapping's rule: over the log type, the finding's own id, and the event's bytes.
fn uid(log_type: &str, finding: Option<&str>, digest: &BodyDigest) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [log_type.as_bytes(), &[0x1f], finding.unwrap_or_default().as_bytes(), &[0x1f], digest] {
        hash.update(part);
    }
    hash.finalize().into()
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends JSON without the line ends between its tokens: an output is one line.
fn push_line(out: &mut Vec<u8>, json: &[u8]) {
    let begin = out.len();
    out.extend_from_slice(json);
    for byte in out.iter_mut().skip(begin).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// Where a text of the event stands in what was written; empty where it is absent or holds an escape.
fn place_of_text(written: &[u8], begin: usize, text: Option<&str>) -> Range<usize> {
    let text = text.filter(|text| !text.is_empty());
    let at = text.and_then(|text| Some((memchr::memmem::find(written, text.as_bytes())?, text.len())));
    at.map_or(begin..begin, |(at, length)| {
        let start = begin.saturating_add(at);
        start..start.saturating_add(length)
    })
}
