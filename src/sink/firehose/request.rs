//! Events to records. Pure.

use std::ops::Range;

use crate::delivery::EventView;
use crate::sink::Format;

/// The most bytes of one record, by the service: 1,000 KiB, before base64.
pub(super) const RECORD_BYTES_MAX: usize = 1000 << 10;

/// How far a record is packed: what the service calls 1,000 KB, taken at its smaller meaning.
const PACKED_BYTES_MAX: usize = 1_000_000;

/// What one record is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Which entries of the batch it holds.
    pub entries: Range<usize>,
    /// The entries, one behind the other.
    pub data: Vec<&'a [u8]>,
}

/// Appends one event and a line break. An event as AWS wrote it keeps the line break that it ends in.
pub(super) fn push(format: Format, event: EventView<'_>, out: &mut Vec<u8>) {
    let document = format.document(event).unwrap_or_else(|| event.raw());
    out.extend_from_slice(document);
    if !document.ends_with(b"\n") {
        out.push(b'\n');
    }
}

/// The records of a batch: one for each entry, or as few as hold them all. Entries that no record can hold are left out.
pub(super) fn records<'a>(frames: impl Iterator<Item = &'a [u8]>, is_packed: bool) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let mut bytes = 0;
    for (number, frame) in frames.enumerate() {
        if frame.len() > RECORD_BYTES_MAX {
            continue;
        }
        match pieces.last_mut() {
            Some(last) if is_packed && last.entries.end == number && bytes + frame.len() <= PACKED_BYTES_MAX => {
                last.entries.end += 1;
                last.data.push(frame);
                bytes += frame.len();
            }
            _ => {
                pieces.push(Piece { entries: number..number + 1, data: vec![frame] });
                bytes = frame.len();
            }
        }
    }
    pieces
}
