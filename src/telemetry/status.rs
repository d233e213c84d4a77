//! What the meters show at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::SinkState;

/// The whole of it, as `/status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of siemline.
    pub version: String,
    /// When the process started, in milliseconds since 1970.
    pub started_ms: i64,
    /// When this was the case.
    pub now_ms: i64,
    /// Whether the process can do its work.
    pub is_ready: bool,
    /// Why it cannot, in words.
    pub not_ready: Vec<String>,
    /// What somebody may have to look after although work goes on, in words.
    pub troubles: Vec<String>,
    /// What became of events.
    pub events: EventStatus,
    /// The sources, by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// The lanes, by the names of their sinks.
    pub lanes: BTreeMap<String, LaneStatus>,
    /// What sinks measure of their own, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkState>,
    /// The store of dead letters.
    pub dead_letters: DeadLetterStatus,
    /// The memory budget.
    pub memory: MemoryStatus,
}

/// What became of events: `read = delivered + spilled + filtered + dead_lettered + abandoned + in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Records taken in.
    pub records: u64,
    /// Bytes of them.
    pub record_bytes: u64,
    /// Events found in them, those read again included.
    pub read: u64,
    /// Events that every sink they were routed to has.
    pub delivered: u64,
    /// Events that a spill holds for at least one sink, and that the others have.
    #[serde(default)]
    pub spilled: u64,
    /// Events that a rule let go.
    pub filtered: u64,
    /// Events in the dead letters of at least one sink.
    pub dead_lettered: u64,
    /// Events given up before they were settled: they are read again.
    pub abandoned: u64,
    /// Events whose end nobody has spoken yet.
    pub in_flight: u64,
    /// Normalized events by log type and OCSF `severity_id`.
    pub by_log_type: BTreeMap<String, BTreeMap<u8, u64>>,
    /// Filtered events by rule.
    pub by_rule: BTreeMap<String, u64>,
    /// Dead-lettered events that never came to a sink, by code.
    pub broken: BTreeMap<String, u64>,
    /// Oddities that were survived, by code.
    pub complaints: BTreeMap<String, u64>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// `opening`, `reading`, `ended` or `failed`.
    pub state: String,
    /// What is in the way, where anything is.
    pub words: Option<String>,
    /// The shards that it reads or waits for; none for a source without shards.
    pub shards: BTreeMap<String, ShardStatus>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Why it does not move: a word of [`Reason`](crate::metric::Reason), `moving` where it does.
    pub reason: String,
    /// For how long.
    pub standstill_ms: u64,
    /// Whether that is longer than it may be (`standstill_after`).
    pub is_still: bool,
    /// Whether the reason is one that somebody may have to look after.
    pub is_trouble: bool,
    /// How far the reading is behind the newest record, where that is known.
    pub behind_ms: Option<u64>,
    /// The time until the oldest record that is not settled expires, where that is known.
    pub headroom_ms: Option<i64>,
    /// Records handed on.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Calls that were throttled.
    pub throttled: u64,
    /// Calls that failed otherwise.
    pub failures: u64,
    /// Aggregates of the Kinesis Producer Library that were taken apart.
    pub kpl_aggregates: u64,
    /// Such that could not be.
    pub kpl_broken: u64,
    /// User records outside the shard's hash keys.
    pub kpl_outside: u64,
    /// User records let go because of such a neighbour.
    pub kpl_discarded: u64,
}

/// One lane, in entries unless said otherwise: `entries = delivered + dead_lettered + abandoned + in_flight`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// `works`, `failing` or `paused`.
    pub condition: String,
    /// Why, where it is not the first.
    pub hindrance: Option<HindranceStatus>,
    /// Entries taken up.
    pub entries: u64,
    /// Entries that the destination accepted.
    pub delivered: u64,
    /// Of these, the ones it had already.
    pub duplicates: u64,
    /// Entries in the dead letters.
    pub dead_lettered: u64,
    /// Entries that are read again.
    pub abandoned: u64,
    /// Entries whose end is not spoken yet.
    pub in_flight: u64,
    /// Entries sent once more, counted each time.
    pub retried: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed as a whole.
    pub failures: u64,
    /// Batches cut in halves.
    pub splits: u64,
    /// Times it paused.
    pub pauses: u64,
    /// Bytes of encoded batches, each sending counted.
    pub bytes: u64,
    /// Entries made smaller, each time counted.
    pub trimmed: u64,
    /// Entries dead-lettered because they are too large.
    pub oversize: u64,
    /// Requests under way.
    pub requests_in_flight: u32,
    /// How many there may be.
    pub window: u32,
    /// What a request takes, smoothed, in milliseconds; `None` before the first answer.
    pub latency_ms: Option<u64>,
    /// Times it stood still for `stalled_after`.
    pub stalls: u64,
    /// Whether it does now.
    pub is_stalled: bool,
    /// Why it does not move: a word of [`LaneReason`](crate::metric::LaneReason), `moving` where it does.
    pub reason: String,
    /// Since when, in milliseconds since 1970; `None` where it moves.
    pub still_since_ms: Option<i64>,
    /// Its spill, where it has one.
    #[serde(default)]
    pub spill: Option<SpillStatus>,
}

/// The spill of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpillStatus {
    /// Entries written.
    pub written: u64,
    /// Entries read back.
    pub returned: u64,
    /// Bytes that cannot be read any more.
    pub damaged_bytes: u64,
    /// What it takes on the disk.
    pub bytes: u64,
    /// What it may take.
    pub bytes_max: u64,
    /// When its oldest segment was begun; `None` where it is empty.
    pub since_ms: Option<i64>,
    /// Why it takes nothing; `None` where it does.
    pub hindrance: Option<HindranceStatus>,
}

/// What is in the way of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HindranceStatus {
    /// A stable code.
    pub code: String,
    /// What was said.
    pub words: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The store of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterStatus {
    /// Letters kept.
    pub kept: u64,
    /// Of these, the ones that the store on the network did not take, and the local file has.
    pub fell_back: u64,
    /// Why the store on the network takes nothing now, where there is one.
    pub store_hindrance: Option<HindranceStatus>,
    /// Why none can be kept now.
    pub hindrance: Option<HindranceStatus>,
}

/// The memory budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// Bytes in flight now.
    pub in_flight_bytes: u64,
    /// The most there were.
    pub in_flight_bytes_peak: u64,
    /// The most there may be.
    pub in_flight_bytes_max: u64,
}
