//! The text of a record: one JSON document, several (each on its line, or one behind the other), or lines of plain text.

use super::document::{self, Document};
use super::layer::{Layer, Span};
use super::piece::{Oddity, Refusal};
use super::scan::{self, Broken, Members};
use super::store::{Place, Store};
use super::{Field, Form};

/// U+FEFF in UTF-8. Windows tools write it before a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Lines beginning with `#` that one header may have.
const DIRECTIVES_MAX: usize = 8;

/// Names that a line must hold to be taken for the header of a flow log that does not begin with `version`.
const FLOW_COLUMNS_MIN: usize = 3;

/// The columns of VPC flow logs of versions 2 to 8, and what transit gateways have beside their own (`tgw-..`).
const FLOW_COLUMNS: [&[u8]; 43] = [
    b"version",
    b"account-id",
    b"interface-id",
    b"srcaddr",
    b"dstaddr",
    b"srcport",
    b"dstport",
    b"protocol",
    b"packets",
    b"bytes",
    b"start",
    b"end",
    b"action",
    b"log-status",
    b"vpc-id",
    b"subnet-id",
    b"instance-id",
    b"tcp-flags",
    b"type",
    b"pkt-srcaddr",
    b"pkt-dstaddr",
    b"region",
    b"az-id",
    b"sublocation-type",
    b"sublocation-id",
    b"pkt-src-aws-service",
    b"pkt-dst-aws-service",
    b"flow-direction",
    b"traffic-path",
    b"ecs-cluster-arn",
    b"ecs-cluster-name",
    b"ecs-container-instance-arn",
    b"ecs-container-instance-id",
    b"ecs-container-id",
    b"ecs-second-container-id",
    b"ecs-service-name",
    b"ecs-task-definition-arn",
    b"ecs-task-arn",
    b"ecs-task-id",
    b"reject-reason",
    b"resource-type",
    b"resource-id",
    b"encryption-status",
];

/// Takes in everything in a record's text.
pub(super) fn take(text: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let text = if text.bytes.starts_with(BYTE_ORDER_MARK) {
        store.complain(Oddity::ByteOrderMark);
        text.part(BYTE_ORDER_MARK.len()..text.bytes.len())
    } else {
        text
    };
    let bytes = text.bytes;
    let mut members = Members::new();
    let (mut at, place_of_lines) = header_line(text, store, place)?;
    // Where a document that was begun turned out broken. Up to there a document must end on its own line: what is broken
    // over many lines is then scanned twice and not once per line.
    let mut broken_until = 0;
    loop {
        let start = scan::blanks(bytes, at);
        let Some(&first) = bytes.get(start) else { return Ok(()) };
        let line_end = memchr::memchr(b'\n', bytes.get(start..).unwrap_or_default()).map_or(bytes.len(), |n| start + n);
        let scanned = if matches!(first, b'{' | b'[') {
            let end = if start < broken_until { line_end } else { bytes.len() };
            let within = bytes.get(..end).unwrap_or_default();
            if first == b'{' { scan::object(within, start, &mut members) } else { lone_array(within, start) }
        } else {
            Err(Broken { at: start })
        };
        at = match scanned {
            Ok(end) if first == b'{' => {
                document::take(Document { span: text.part(start..end), members: &members }, store, above, place)?;
                end
            }
            Ok(end) => {
                array(text.part(start..end), store, above, place)?;
                end
            }
            Err(broken) => {
                if first == b'{' {
                    store.complain(Oddity::BrokenJson);
                }
                broken_until = broken_until.max(broken.at);
                let blank = bytes.get(at..start).unwrap_or_default();
                let line_start = memchr::memrchr(b'\n', blank).map_or(at, |newline| at + newline + 1);
                store.event(Form::Text, line(text, line_start, line_end), place_of_lines)?;
                line_end
            }
        };
    }
}

/// Takes in the header lines of a text record, if it begins with such. Gives where to go on, and what the lines are told.
///
/// - Flow logs begin with the names of their columns, in the order the user chose: `version account-id interface-id ...`
///   (VPC User Guide, "Flow log records"; Transit Gateway guide, the same). A first line that only happens to begin with
///   that word is no header: all its words must look like the names of columns, and lines must follow. One that begins
///   with another word must hold names of flow logs and nothing else.
/// - CloudFront's standard logs begin with `#Version: 1.0` and `#Fields: date time ...` (CloudFront Developer Guide,
///   "Standard logging reference"; the extended log file format of W3C).
fn header_line(text: Span<'_>, store: &mut Store, place: Place) -> Result<(usize, Place), Refusal> {
    let bytes = text.bytes;
    if bytes.starts_with(b"#Version:") || bytes.starts_with(b"#Fields:") {
        return directives(text, store, place);
    }
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let header = line(text, 0, end);
    let lines_follow = || scan::blanks(bytes, end) < bytes.len();
    if !names_flow_columns(header.bytes) || !lines_follow() {
        return Ok((0, place));
    }
    store.filtered("header_line", header, place)?;
    let place_of_lines = store.derive(place)?;
    store.tell_text(place_of_lines, Field::Header, header.bytes)?;
    Ok((end, place_of_lines))
}

/// Takes in the lines that begin with `#`, up to the one that names the columns.
fn directives(text: Span<'_>, store: &mut Store, place: Place) -> Result<(usize, Place), Refusal> {
    let bytes = text.bytes;
    let mut start = 0;
    for _ in 0..DIRECTIVES_MAX {
        let rest = bytes.get(start..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(bytes.len(), |length| start + length);
        let directive = line(text, start, end);
        if !directive.bytes.starts_with(b"#") {
            break;
        }
        if directive.bytes.starts_with(b"#Fields:") {
            let mut at = 0;
            while at < end {
                let length = memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()).unwrap_or(end - at);
                store.filtered("header_line", line(text, at, at + length), place)?;
                at += length + 1;
            }
            let place_of_lines = store.derive(place)?;
            store.tell_text(place_of_lines, Field::Header, directive.bytes)?;
            return Ok((end, place_of_lines));
        }
        start = end.saturating_add(1).min(bytes.len());
    }
    Ok((0, place))
}

/// Whether a first line holds the names of a flow log's columns.
fn names_flow_columns(header: &[u8]) -> bool {
    // Most first lines are told apart by their first letter.
    if !header.first().is_some_and(u8::is_ascii_lowercase) {
        return false;
    }
    let words = || header.split(|byte| *byte == b' ');
    if header.starts_with(b"version ") {
        return words().all(|word| {
            word.first().is_none_or(u8::is_ascii_lowercase)
                && word.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        });
    }
    let is_known =
        |word: &[u8]| FLOW_COLUMNS.contains(&word) || word.starts_with(b"tgw-") || word.starts_with(b"packets-lost-");
    words().all(is_known) && words().nth(FLOW_COLUMNS_MIN - 1).is_some()
}

/// Scans an array that is a document of its own: behind it the line or the text ends, or the next document begins. Log
/// lines often begin with something in brackets.
fn lone_array(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let end = scan::value(bytes, at)?;
    let behind = bytes.get(end..).unwrap_or_default().iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    match behind {
        None | Some(b'\n' | b'{' | b'[') => Ok(end),
        Some(_) => Err(Broken { at: end }),
    }
}

/// Takes in a document that is an array: its elements, if they are objects.
fn array(array: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    if scan::objects_in(array.bytes).is_none() {
        return store.event(Form::Text, array, place);
    }
    let place = store.deeper(place)?;
    document::list(array, store, above, place)
}

/// A line, without what ends it.
fn line(text: Span<'_>, start: usize, end: usize) -> Span<'_> {
    let line = text.part(start..end);
    let ends_with_return = line.bytes.ends_with(b"\r");
    line.part(0..line.bytes.len() - usize::from(ends_with_return))
}
