//! The form of a segment: a file header, then frames, each with its own checksums. Version 1. Pure.
//!
//! All numbers are little-endian, all checksums CRC-32 (IEEE). The checksum of a frame's header covers the number of its
//! segment too, so that what a disk gives back of an older file is no frame of this one.

use std::ops::Range;

use crc32fast::Hasher;

/// How many bytes a file begins with.
pub(super) const FILE_HEADER_BYTES: usize = 56;

/// How many bytes stand before a frame's body.
pub(super) const FRAME_HEADER_BYTES: usize = 20;

/// The most bytes of the name of a form.
const LABEL_BYTES: usize = 24;

const FILE_MAGIC: &[u8; 8] = b"siemspil";
const FRAME_MAGIC: &[u8; 4] = b"\xf5SPL";

/// The version of the form.
const VERSION: u32 = 1;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// Its number, counted up and never used twice while anything of the spill is left.
    pub segment: u64,
    /// When it was begun, in milliseconds since 1970.
    pub begun_ms: i64,
    /// The form of the events that its sink wanted.
    pub label: String,
}

/// How the beginning of a segment reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// As it was written.
    Whole(FileHeader),
    /// The file ends before its header does.
    Torn,
    /// Another version of siemline wrote it.
    OtherVersion(u32),
    /// Something else stands there. Its frames may still be whole.
    Damaged,
}

/// What stands next in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame that is as it was written: its number, and its body in the bytes.
    Frame {
        /// Its number in the segment, from 0.
        index: u32,
        /// Where its body stands.
        body: Range<usize>,
    },
    /// So many bytes that are no whole frame although more follow, or that were written and are not what they were.
    Damage(usize),
    /// There is nothing more, but for a frame whose writing was cut short.
    End,
}

impl FileHeader {
    /// The header as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.extend_from_slice(FILE_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.begun_ms.to_le_bytes());
        out.extend(self.label.bytes().chain(std::iter::repeat(0)).take(LABEL_BYTES));
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        debug_assert_eq!(out.len(), FILE_HEADER_BYTES);
        out
    }

    /// Reads the beginning of a segment.
    pub fn read(bytes: &[u8]) -> Beginning {
        let Some(header) = bytes.get(..FILE_HEADER_BYTES) else { return Beginning::Torn };
        let (told, checksum) = header.split_at(FILE_HEADER_BYTES - 4);
        if crc32fast::hash(told).to_le_bytes() != checksum || !told.starts_with(FILE_MAGIC) {
            return Beginning::Damaged;
        }
        let version = number_at(told, 8).unwrap_or_default();
        if version != VERSION {
            return Beginning::OtherVersion(version);
        }
        let eight = |at: usize| told.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        let label: Vec<u8> = told.iter().skip(28).copied().take_while(|byte| *byte != 0).collect();
        Beginning::Whole(Self {
            segment: u64::from_le_bytes(eight(12)),
            begun_ms: i64::from_le_bytes(eight(20)),
            label: String::from_utf8_lossy(&label).into_owned(),
        })
    }
}

/// Appends a frame. `None`, and nothing appended, for a body that is too large for any frame.
pub(super) fn push_frame(segment: u64, index: u32, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = u32::try_from(body.len()).ok()?;
    let begin = out.len();
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = header_checksum(segment, out.get(begin..).unwrap_or_default());
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(body);
    Some(())
}

/// What stands at a place of a segment's bytes, and the place behind it.
pub(super) fn step(segment: u64, bytes: &[u8], at: usize) -> (Step, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.len() < FRAME_HEADER_BYTES {
        return (Step::End, at);
    }
    let Some((index, length, checksum)) = header(segment, rest) else {
        return skip(segment, bytes, at);
    };
    let (begin, end) = (at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length);
    match bytes.get(begin..end) {
        None => (Step::End, at),
        Some(body) if crc32fast::hash(body) == checksum => (Step::Frame { index, body: begin..end }, end),
        Some(_) => (Step::Damage(end - at), end),
    }
}

/// Leaves out what is no frame, up to the next one. Zeros up to the end are what some file systems leave of a write that was
/// cut short.
fn skip(segment: u64, bytes: &[u8], at: usize) -> (Step, usize) {
    let behind = bytes.get(at + 1..).unwrap_or_default();
    let mut places = memchr::memmem::find_iter(behind, FRAME_MAGIC);
    let next = places.find(|place| header(segment, behind.get(*place..).unwrap_or_default()).is_some());
    match next {
        Some(place) => (Step::Damage(place + 1), at + 1 + place),
        None if bytes.iter().skip(at).all(|byte| *byte == 0) => (Step::End, at),
        None => (Step::Damage(bytes.len() - at), bytes.len()),
    }
}

/// Number, length of the body, and its checksum, if a whole header stands here.
fn header(segment: u64, bytes: &[u8]) -> Option<(u32, usize, u32)> {
    let told = bytes.get(..FRAME_HEADER_BYTES - 4)?;
    let is_whole =
        told.starts_with(FRAME_MAGIC) && number_at(bytes, FRAME_HEADER_BYTES - 4)? == header_checksum(segment, told);
    is_whole.then_some(())?;
    Some((number_at(told, 4)?, usize::try_from(number_at(told, 8)?).ok()?, number_at(told, 12)?))
}

fn header_checksum(segment: u64, told: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(told);
    hasher.finalize()
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// A place in the spill: up to there all is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The segment.
    pub segment: u64,
    /// The frame in it.
    pub index: u32,
}

impl Place {
    /// The place as it is kept in a file of its own.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = [FILE_MAGIC.as_slice(), &self.segment.to_le_bytes(), &self.index.to_le_bytes()].concat();
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The place that was kept; `None` where the file is not what was written.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (told, checksum) = bytes.split_at_checked(20)?;
        let is_whole = told.starts_with(FILE_MAGIC) && crc32fast::hash(told).to_le_bytes() == checksum;
        is_whole.then_some(())?;
        let segment = u64::from_le_bytes(told.get(8..16)?.try_into().ok()?);
        Some(Self { segment, index: number_at(told, 16)? })
    }
}
