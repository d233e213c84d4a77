//! The options of the file source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Size;

/// Reads files, or standard input, to their end; `run` then drains and exits with code 0.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// Files to read: paths or glob patterns (`logs/**/*.json.gz`), in this order, each pattern's files sorted by name. `-` is
    /// standard input. A pattern that finds nothing is an error. Plain, gzip and zstd are told apart by their first bytes.
    pub paths: Vec<String>,
    /// What one record is: a `line`, or the whole `file` as it lies there (compressed or not), as a stream would hand it
    /// over.
    #[serde(default)]
    pub record: RecordIs,
    /// The largest record. A longer line is handed on in pieces of this size; a larger file read whole is an error.
    #[serde(default = "record_bytes_max")]
    pub record_bytes_max: Size,
    /// How many lines go into one chunk at the most.
    #[serde(default = "chunk_records_max")]
    pub chunk_records_max: usize,
    /// How many bytes of lines go into one chunk, about.
    #[serde(default = "chunk_bytes_max")]
    pub chunk_bytes_max: Size,
    /// How many chunks may be out unsettled; more are not read.
    #[serde(default = "window_chunks_max")]
    pub window_chunks_max: usize,
}

/// What one record of a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordIs {
    /// Each line that is not empty.
    #[default]
    Line,
    /// The whole file.
    File,
}

fn record_bytes_max() -> Size {
    Size::mebibytes(64)
}

fn chunk_records_max() -> usize {
    1000
}

fn chunk_bytes_max() -> Size {
    Size::mebibytes(1)
}

fn window_chunks_max() -> usize {
    64
}
