//! The options of the Kinesis source.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stream::{StreamName, Streams};
use crate::aws::Access;
use crate::lease::LeaseOptions;
use crate::unit::{Size, Span};

/// Reads all shards of one Kinesis data stream, or of several. Credentials come from the environment, as for every AWS tool.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, as people write it")]
pub struct KinesisOptions {
    /// The stream: its name, or its ARN; or a list of them. Each has checkpoints of its own.
    pub stream: Streams,
    /// The region. Default: the ARN's, else the environment's.
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint.
    pub endpoint_url: Option<String>,
    /// Whether to use the endpoints with FIPS 140 validated cryptography, where the region has them.
    #[serde(default)]
    pub fips: bool,
    /// Whether to use the endpoints that can be reached by IPv6 too.
    #[serde(default)]
    pub dual_stack: bool,
    /// The role to assume, by its ARN: for a stream of another account.
    pub assume_role: Option<String>,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
    /// How records come: `polling` shares the 2 MiB a second of each shard with all others who poll it; `fan_out` has 2 MiB a
    /// second of its own and is told of records at once, and costs extra by the shard and hour.
    #[serde(default)]
    pub mode: Mode,
    /// The registered consumer whose subscriptions `fan_out` reads. It is registered where it is not there, and it is never
    /// removed, since other copies read with it: `aws kinesis deregister-stream-consumer` does, and ends its cost. Default:
    /// `siemline-<name of the source>`.
    pub consumer: Option<String>,
    /// Whether `fan_out` may fall back to polling where there is no consumer to be had, and for a shard that cannot be
    /// subscribed to.
    #[serde(default)]
    pub fan_out_fallback: bool,
    /// When a subscription is renewed. The service ends it after five minutes.
    #[serde(default = "subscription_renewal")]
    pub subscription_renewal: Span,
    /// Where to begin when there is no checkpoint yet: `TRIM_HORIZON` (the oldest record), `LATEST` (now), or a time such as
    /// `2026-01-31T12:00:00Z` (`AT_TIMESTAMP`). Shards that appear later are read from their beginning.
    #[serde(default)]
    pub start: StartAt,
    /// For a backfill: only what arrived before this time is read, and then the run ends, with exit code 0 when all of it is
    /// delivered. Arrival times are the service's, and approximate.
    pub end: Option<Moment>,
    /// Aggregates of the Kinesis Producer Library: what to do where one holds a record that belongs to another shard by its
    /// hash key, as happens after a resharding and with other aggregators. `false`: it is read like the others and counted.
    /// `true`: the whole aggregate is let go and counted, as the Kinesis Client Library does.
    #[serde(default)]
    pub kpl_strict: bool,
    /// The file that holds the checkpoints. It belongs to one process; put it where a restart does not wipe it. With several
    /// streams, each has a file with its name added. Default: `checkpoints/<name of the source>.json`.
    pub checkpoint_file: Option<PathBuf>,
    /// The table of DynamoDB that holds leases and checkpoints, in the layout of the Kinesis Client Library: any number of
    /// processes with the same configuration share the streams. Without it, one process reads all shards, with a
    /// `checkpoint_file`.
    pub lease_table: Option<String>,
    /// How leases are shared out, and how the table looks.
    #[serde(default)]
    pub lease: LeaseOptions,
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
    /// After how long a shard that does not move is told of in the log, with the reason.
    #[serde(default = "standstill_after")]
    pub standstill_after: Span,
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

/// How records come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By asking for them.
    #[default]
    Polling,
    /// By subscriptions: enhanced fan-out.
    FanOut,
}

/// A time with its zone, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

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

/// The times after which a subscription may be renewed.
const RENEWAL: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_mins(5);

fn is_role(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let head = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(head, [Some("arn"), Some(partition), Some("iam"), Some(""), Some(account)]
        if partition.starts_with("aws") && is_account(account))
        && parts.next().is_some_and(|name| name.starts_with("role/"))
}

fn is_consumer(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(is_letter)
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

fn standstill_after() -> Span {
    Span::seconds(60)
}

fn subscription_renewal() -> Span {
    Span::seconds(285)
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
    /// What stands for a shard in positions, logs and metrics: its id, and the stream before it where a source has several.
    #[must_use]
    pub fn shard_label(&self, stream: &StreamName, shard: &str) -> String {
        if self.stream.are_several() { format!("{}/{shard}", stream.slug()) } else { shard.to_owned() }
    }

    /// What does not go together, or cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        if self.external_id.is_some() && self.assume_role.is_none() {
            return Some(("external_id", "`external_id` belongs to a role: name it in `assume_role`".to_owned()));
        }
        if let Some(role) = self.assume_role.as_deref().filter(|role| !is_role(role)) {
            let words = "write it as `arn:aws:iam::<account>:role/<name>`";
            return Some(("assume_role", format!("`{role}` is no role's ARN: {words}")));
        }
        if let Some(name) = self.consumer.as_deref().filter(|name| !is_consumer(name)) {
            let words = "it has 1 to 128 letters, digits, `_`, `.` and `-`";
            return Some(("consumer", format!("`{name}` is no name of a consumer: {words}")));
        }
        if let (StartAt::Timestamp(start_ms), Some(end_ms)) = (self.start, self.end_ms())
            && end_ms <= start_ms
        {
            return Some(("end", "`end` is not after `start`: nothing would be read".to_owned()));
        }
        if !RENEWAL.contains(&self.subscription_renewal.0) {
            let words = "the service allows one after 5 seconds, and ends a subscription after 5 minutes";
            return Some(("subscription_renewal", format!("write 5s to 5m: {words}")));
        }
        if self.fan_out_fallback && self.mode == Mode::Polling {
            return Some((
                "fan_out_fallback",
                "there is nothing to fall back from: set `mode = \"fan_out\"`".to_owned(),
            ));
        }
        None
    }

    /// How a stream of the source of this name is accessed.
    #[must_use]
    pub fn access<'a>(&'a self, name: &'a str, stream: &'a StreamName) -> Access<'a> {
        Access {
            region: self.region.as_deref().or_else(|| stream.region()),
            assume_role: self.assume_role.as_deref(),
            external_id: self.external_id.as_deref(),
            session: Some(name),
            use_fips: self.fips,
            use_dual_stack: self.dual_stack,
        }
    }

    /// Where the checkpoints of the source of this name are kept.
    #[must_use]
    pub fn checkpoint_file(&self, name: &str) -> PathBuf {
        self.checkpoint_file.clone().unwrap_or_else(|| format!("checkpoints/{name}.json").into())
    }

    /// The name of the registered consumer of the source of this name.
    #[must_use]
    pub fn consumer(&self, name: &str) -> String {
        self.consumer.clone().unwrap_or_else(|| format!("siemline-{name}"))
    }

    /// The end of the backfill, in milliseconds since 1970.
    #[must_use]
    pub fn end_ms(&self) -> Option<i64> {
        self.end.map(|end| end.0)
    }
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let words = "write it with its zone, such as `2026-01-31T12:00:00Z`";
            serde::de::Error::custom(format!("`{text}` is no time: {words}"))
        })
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A time with its zone, such as `2026-01-31T12:00:00Z`." })
    }
}

impl StartAt {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "LATEST" => Some(Self::Latest),
            time => Some(Self::Timestamp(Moment::parse(time)?.0)),
        }
    }
}

impl std::str::FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = "write `TRIM_HORIZON`, `LATEST`, or a time with its zone such as `2026-01-31T12:00:00Z`";
        Self::parse(text).ok_or_else(|| format!("`{text}` is no place to start: {words}"))
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::Timestamp(time_ms) => Moment(*time_ms).fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for StartAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
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
