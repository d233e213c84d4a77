//! The options of the pipeline.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::{Size, Span};

/// Bounds and workers of the process.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineOptions {
    /// How many threads normalize. Default: one for each core.
    pub workers: Option<usize>,
    /// The most that records, events made of them, and every lane's queue and batches may take together. When it is used
    /// up, nothing more is read until something is settled. One item above it is admitted alone.
    pub in_flight_bytes_max: Size,
    /// How many chunks may wait for a worker.
    pub intake_chunks_max: usize,
    /// How many parts of chunks may wait in the queue of one lane. A full queue stops the workers, and so the reading.
    pub lane_parcels_max: usize,
    /// How long a process that is asked to stop may take to deliver what it has read. What is not delivered by then is read
    /// again next time.
    pub shutdown_grace: Span,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            workers: None,
            in_flight_bytes_max: Size::mebibytes(256),
            intake_chunks_max: 64,
            lane_parcels_max: 256,
            shutdown_grace: Span::seconds(25),
        }
    }
}

/// Dead letters as NDJSON files, readable by their owner only: they hold the original bytes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterFileOptions {
    /// Their directory; it is made if it is not there. Choose one that a restart of the container does not wipe.
    pub directory: PathBuf,
    /// A file that has reached this size is put aside and a new one begun.
    pub rotate_bytes_max: Size,
}

impl Default for DeadLetterFileOptions {
    fn default() -> Self {
        Self { directory: "dead-letters".into(), rotate_bytes_max: Size::mebibytes(256) }
    }
}
