//! Events to objects: their keys and their bodies. Pure.

use sha2::{Digest as _, Sha256};

use super::S3Options;
use crate::delivery::{Batch, EventView};
use crate::http::Compressor;
use crate::sink::Format;
use crate::sink::template::{Mistake, Template};

/// The bytes of an event's id, which stands before its line in a frame and in no object.
const ID_BYTES: usize = 16;

/// How many bytes of a hash an object is named by.
const NAME_BYTES: usize = 16;

/// The longest prefix: a key has 1024 bytes at most, and ours ends in 48 of its own at most.
const PREFIX_BYTES_MAX: usize = 960;

/// How events become objects.
#[derive(Debug)]
pub(super) struct Packing {
    prefix: Template,
    format: Format,
    compressor: Compressor,
}

/// An object to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its key.
    pub(crate) key: String,
    /// Its bytes, compressed.
    pub(crate) body: Vec<u8>,
    /// What it is.
    pub(crate) content_type: &'static str,
}

impl Packing {
    pub(super) fn new(options: &S3Options) -> Result<Self, Mistake> {
        Ok(Self {
            prefix: Template::parse(&options.prefix)?.of_path(),
            format: options.format,
            compressor: Compressor::new(options.compression.into(), options.compression_level),
        })
    }

    /// Appends the id of an event and its line.
    pub(super) fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&event.row.id);
        self.format.push_line(event, out);
    }

    /// Appends what the key of the event's object begins with. What a field holds that is better not in a key becomes `_`;
    /// what is too long is cut, since S3 would refuse all of the batch for it.
    pub(super) fn push_prefix(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        let mut text = String::new();
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()=:@+,".contains(c);
        self.prefix.push(event, |c| if is_fine(c) { c } else { '_' }, &mut text);
        let mut end = text.len().min(PREFIX_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        out.extend(text.bytes().take(end));
    }

    /// The object of a batch. Its name is a hash of the ids of its events: the same batch has the same name, and two that
    /// differ in one event have two, also where the lines are the same.
    pub(super) fn object(&self, batch: &Batch) -> Object {
        let (mut ids, mut lines) = (Sha256::new(), Vec::with_capacity(batch.body().len()));
        for frame in batch.frames() {
            let (id, line) = frame.split_at_checked(ID_BYTES).unwrap_or((frame, &[]));
            ids.update(id);
            lines.extend_from_slice(line);
        }
        let start = String::from_utf8_lossy(batch.bucket());
        object(&self.compressor, &start, &ids.finalize(), &lines)
    }
}

/// An object of lines. Its key is what it begins with, the first bytes of what it is told by, and an ending that tells the form.
pub(super) fn object(compressor: &Compressor, start: &str, told_by: &[u8], lines: &[u8]) -> Object {
    use std::fmt::Write as _;

    let body = compressor.body(lines);
    let (ending, content_type) = match body.encoding {
        Some("gzip") => ("ndjson.gz", "application/gzip"),
        Some(_) => ("ndjson.zst", "application/zstd"),
        None => ("ndjson", "application/x-ndjson"),
    };
    let mut key = start.to_owned();
    for byte in told_by.iter().take(NAME_BYTES) {
        // Writing to a string does not fail.
        let _written = write!(key, "{byte:02x}");
    }
    key.push('.');
    key.push_str(ending);
    Object { key, body: body.bytes, content_type }
}
