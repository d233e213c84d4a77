//! The options of the file sink.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::sink::Format;
use crate::unit::{Size, Span};

/// Writes one JSON document a line. A batch counts as delivered when the disk has it (`fdatasync`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// The file that is written to. Its directory is made if it is not there. What was there before is appended to.
    pub path: PathBuf,
    /// What is written: `ocsf`, `ecs`, `cim`, or `raw`, the event as AWS wrote it.
    #[serde(default)]
    pub format: Format,
    /// A file that has reached this size is renamed, with the time in its name, and a new one begun.
    #[serde(default = "rotate_bytes_max")]
    pub rotate_bytes_max: Size,
    /// A file that is this old is renamed likewise, once something is to be written.
    #[serde(default = "rotate_age_max")]
    pub rotate_age_max: Span,
    /// How the lane in front of it batches and retries.
    #[serde(default)]
    pub lane: LaneOptions,
}

fn rotate_bytes_max() -> Size {
    Size::mebibytes(256)
}

fn rotate_age_max() -> Span {
    Span::hours(24)
}

impl FileOptions {
    /// What its lane takes where the options say nothing. One file has one end: a second request at once would only wait
    /// for the first.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 10_000,
        batch_bytes_max: Size::mebibytes(4),
        batch_age_max: Span::seconds(1),
        event_bytes_max: None,
        requests_in_flight_max: 1,
        request_timeout: Span::seconds(60),
    };
}
