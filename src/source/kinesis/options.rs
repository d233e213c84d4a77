//! The options of the Kinesis source.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::unit::{Size, Span};

/// Reads all shards of one Kinesis data stream. Credentials come from the environment, as for every AWS tool.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KinesisOptions {
    /// The stream: its name, or its ARN.
    pub stream: String,
    /// The region. Default: the ARN's, else the environment's.
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint.
    pub endpoint_url: Option<String>,
    /// Where to begin when there is no checkpoint yet: `TRIM_HORIZON` (the oldest record), `LATEST` (now), or a time such as
    /// `2026-01-31T12:00:00Z` (`AT_TIMESTAMP`). Shards that appear later are read from their beginning.
    #[serde(default)]
    pub start: StartAt,
    /// The file that holds the checkpoints. It belongs to one process; put it where a restart does not wipe it. Default:
    /// `checkpoints/<name of the source>.json`.
    pub checkpoint_file: Option<PathBuf>,
    /// How often a checkpoint that has moved is written.
    #[serde(default = "checkpoint_interval")]
    pub checkpoint_interval: Span,
    /// How long to wait before a shard that was read to its end is asked again: the service allows five calls a second for
    /// a shard, whoever makes them. A shard with a backlog is read as fast as the service allows.
    #[serde(default = "idle_wait")]
    pub idle_wait: Span,
    /// How often the stream is asked for new shards; it is asked at once when a shard ends.
    #[serde(default = "shard_sync_interval")]
    pub shard_sync_interval: Span,
    /// The most records of one call; the service allows 10,000.
    #[serde(default = "records_max")]
    pub records_max: u32,
    /// How many bytes of records go into one chunk, about. A record is never cut.
    #[serde(default = "chunk_bytes_max")]
    pub chunk_bytes_max: Size,
    /// How many chunks of one shard may be out unsettled; more are not read.
    #[serde(default = "window_chunks_max")]
    pub window_chunks_max: usize,
}

/// Where the reading of a stream begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest record.
    #[default]
    TrimHorizon,
    /// With what comes from now on.
    Latest,
    /// With the first record at or after this time, in milliseconds since 1970.
    Timestamp(i64),
}

fn checkpoint_interval() -> Span {
    Span::seconds(1)
}

fn idle_wait() -> Span {
    Span::seconds(1)
}

fn shard_sync_interval() -> Span {
    Span::seconds(60)
}

fn records_max() -> u32 {
    10_000
}

fn chunk_bytes_max() -> Size {
    Size::mebibytes(1)
}

fn window_chunks_max() -> usize {
    32
}

impl KinesisOptions {
    /// The region that the stream's ARN names, or the one that is written.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref().or_else(|| self.stream.strip_prefix("arn:")?.split(':').nth(2))
    }

    /// Where the checkpoints of the source of this name are kept.
    #[must_use]
    pub fn checkpoint_file(&self, name: &str) -> PathBuf {
        self.checkpoint_file.clone().unwrap_or_else(|| format!("checkpoints/{name}.json").into())
    }
}

impl StartAt {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "LATEST" => Some(Self::Latest),
            time => Some(Self::Timestamp(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())),
        }
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::Timestamp(time_ms) => match jiff::Timestamp::from_millisecond(*time_ms) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{time_ms}"),
            },
        }
    }
}

impl<'de> Deserialize<'de> for StartAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let words = "write `TRIM_HORIZON`, `LATEST`, or a time with its zone such as `2026-01-31T12:00:00Z`";
            serde::de::Error::custom(format!("`{text}` is no place to start: {words}"))
        })
    }
}

impl Serialize for StartAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for StartAt {
    fn schema_name() -> Cow<'static, str> {
        "StartAt".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "`TRIM_HORIZON`, `LATEST`, or a time such as `2026-01-31T12:00:00Z`." })
    }
}
