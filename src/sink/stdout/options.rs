//! The options of the standard output sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::sink::Format;
use crate::unit::{Size, Span};

/// Writes one JSON document a line to standard output. A batch counts as delivered when the pipe has taken it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutOptions {
    /// What is written: `ocsf`, `ecs`, `cim`, or `raw`, the event as AWS wrote it.
    #[serde(default)]
    pub format: Format,
    /// How the lane in front of it batches and retries.
    #[serde(default)]
    pub lane: LaneOptions,
}

impl StdoutOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 10_000,
        batch_bytes_max: Size::mebibytes(4),
        batch_age_max: Span::milliseconds(200),
        event_bytes_max: None,
        requests_in_flight_max: 1,
        request_timeout: Span::seconds(60),
    };
}
