//! What is counted, once: names and counters that every floor may use. Floor 0.
//!
//! Two sums must hold at any moment (law 1 of the house). Per event: `read = delivered + filtered + dead-lettered + in
//! flight + to be read again`. Per entry (an event at one sink) the same, kept by each lane in its [`LaneMeter`].

mod kafka;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use kafka::{KafkaMeter, KafkaState};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds a count of things.
    pub fn add_count(&self, amount: usize) {
        self.add(u64::try_from(amount).unwrap_or(u64::MAX));
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one lane counts, in entries unless said otherwise.
#[derive(Debug, Default)]
pub struct LaneMeter {
    /// Entries that were routed to the lane.
    pub entries: Counter,
    /// Entries that the destination accepted, duplicates included.
    pub delivered: Counter,
    /// Of these, the ones it said it had already.
    pub duplicates: Counter,
    /// Entries that lie in the dead letters.
    pub dead_lettered: Counter,
    /// Entries whose receipt was given up: they are read again.
    pub abandoned: Counter,
    /// Entries sent once more, counted each time.
    pub retried: Counter,
    /// Requests sent.
    pub requests: Counter,
    /// Requests that failed as a whole.
    pub failures: Counter,
    /// Batches cut in halves.
    pub splits: Counter,
    /// Times the lane paused because nothing would get through.
    pub pauses: Counter,
    /// Bytes of encoded batches before compression, each sending counted.
    pub bytes: Counter,
}

/// How events ended, over all sinks: each event counted once, when its last lane has spoken, with the worst outcome.
#[derive(Debug, Default)]
pub struct EventMeter {
    /// Events that every sink they were routed to has.
    pub delivered: Counter,
    /// Events that a named rule let go.
    pub filtered: Counter,
    /// Events that lie in the dead letters of at least one sink.
    pub dead_lettered: Counter,
    /// Events that are read again.
    pub abandoned: Counter,
}

/// A metric's name, unit, meaning and labels, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Records that a shard's reader has handed on; one that is read again counts again.
    ShardRecords,
    /// Bytes of these records.
    ShardBytes,
    /// How far the reading of a shard is behind its newest record, as the service says.
    ShardBehind,
    /// The time until the oldest record that is not settled expires by the stream's retention.
    ShardRetentionHeadroom,
    /// How long a shard has not moved, and why; 0 where it moves.
    ShardStandstill,
    /// Calls and subscriptions that were throttled.
    ShardThrottled,
    /// Calls and subscriptions that failed for another reason.
    ShardFailures,
    /// Aggregated records of the Kinesis Producer Library that were taken apart.
    KplAggregates,
    /// Records that look like an aggregate and cannot be taken apart: handed on as the plain records that they are.
    KplBroken,
    /// User records in an aggregate that belong to another shard by their hash key: handed on all the same.
    KplOutside,
    /// User records that were let go because of such a neighbour (`kpl_strict`), as the Kinesis Client Library does.
    KplDiscarded,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ShardRecords,
        Self::ShardBytes,
        Self::ShardBehind,
        Self::ShardRetentionHeadroom,
        Self::ShardStandstill,
        Self::ShardThrottled,
        Self::ShardFailures,
        Self::KplAggregates,
        Self::KplBroken,
        Self::KplOutside,
        Self::KplDiscarded,
    ];

    /// Its name, the unit in it; what only grows ends in `_total`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShardRecords => "siemline_shard_records_total",
            Self::ShardBytes => "siemline_shard_bytes_total",
            Self::ShardBehind => "siemline_shard_behind_milliseconds",
            Self::ShardRetentionHeadroom => "siemline_shard_retention_headroom_milliseconds",
            Self::ShardStandstill => "siemline_shard_standstill_milliseconds",
            Self::ShardThrottled => "siemline_shard_throttled_total",
            Self::ShardFailures => "siemline_shard_failures_total",
            Self::KplAggregates => "siemline_kpl_aggregates_total",
            Self::KplBroken => "siemline_kpl_broken_total",
            Self::KplOutside => "siemline_kpl_outside_shard_total",
            Self::KplDiscarded => "siemline_kpl_discarded_total",
        }
    }

    /// The names of its labels.
    #[must_use]
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::ShardStandstill => &["source", "shard", "reason"],
            _ => &["source", "shard"],
        }
    }

    /// What it means, for whoever reads it without us.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::ShardRecords => "Records handed on by the reader of a shard, those read again included.",
            Self::ShardBytes => "Bytes of the records handed on.",
            Self::ShardBehind => "How far the reading is behind the newest record of the shard.",
            Self::ShardRetentionHeadroom => "Time until the oldest record that is not delivered expires.",
            Self::ShardStandstill => "How long a shard has not moved, and why.",
            Self::ShardThrottled => "Calls and subscriptions of a shard that were throttled.",
            Self::ShardFailures => "Calls and subscriptions of a shard that failed otherwise.",
            Self::KplAggregates => "KPL aggregates taken apart.",
            Self::KplBroken => "Broken KPL aggregates, handed on as plain records.",
            Self::KplOutside => "KPL user records whose hash key lies outside the shard, handed on all the same.",
            Self::KplDiscarded => "KPL user records let go as the Kinesis Client Library does (kpl_strict).",
        }
    }
}

/// Why a shard does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It moves: a call is under way, or the shard was read to its tip and is asked again in a moment.
    Moving,
    /// Not all of its parents are finished.
    WaitsForParent,
    /// The service says that too much is asked of it.
    Throttled,
    /// The service says no: credentials, permissions, keys.
    Forbidden,
    /// The service or the way to it is disturbed.
    Disturbed,
    /// Somebody else has the subscription to it.
    InUse,
    /// So many of its chunks are out as may be: a lane or a sink does not get on.
    LaneFull,
    /// There is no room in memory for its next records.
    MemoryFull,
    /// The workers do not get on.
    WorkersBusy,
    /// The checkpoint cannot be written.
    CheckpointStuck,
    /// Another process has its lease.
    LeaseLost,
}

impl Reason {
    /// The word for it in logs, metrics and status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::WaitsForParent => "waits_for_parent",
            Self::Throttled => "throttled",
            Self::Forbidden => "forbidden",
            Self::Disturbed => "disturbed",
            Self::InUse => "in_use",
            Self::LaneFull => "lane_full",
            Self::MemoryFull => "memory_full",
            Self::WorkersBusy => "workers_busy",
            Self::CheckpointStuck => "checkpoint_stuck",
            Self::LeaseLost => "lease_lost",
        }
    }
}

/// What is known of one shard now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardState {
    /// Why it does not move.
    pub reason: Reason,
    /// For how long, in milliseconds; 0 where it moves.
    pub standstill_ms: u64,
    /// How far it is behind the newest record, in milliseconds; `None` before the service has said so.
    pub behind_ms: Option<u64>,
    /// The time until its oldest record that is not settled expires, in milliseconds; negative where records are being lost.
    /// `None` while the retention is not known.
    pub headroom_ms: Option<i64>,
}

/// What the reader of one shard counts and measures.
#[derive(Debug)]
pub struct ShardMeter {
    /// [`Metric::ShardRecords`]
    pub records: Counter,
    /// [`Metric::ShardBytes`]
    pub bytes: Counter,
    /// [`Metric::ShardThrottled`]
    pub throttled: Counter,
    /// [`Metric::ShardFailures`]
    pub failures: Counter,
    /// [`Metric::KplAggregates`]
    pub aggregates: Counter,
    /// [`Metric::KplBroken`]
    pub broken: Counter,
    /// [`Metric::KplOutside`]
    pub outside: Counter,
    /// [`Metric::KplDiscarded`]
    pub discarded: Counter,
    state: Mutex<ShardState>,
}

impl Default for ShardMeter {
    fn default() -> Self {
        let state = ShardState { reason: Reason::Moving, standstill_ms: 0, behind_ms: None, headroom_ms: None };
        Self {
            records: Counter::default(),
            bytes: Counter::default(),
            throttled: Counter::default(),
            failures: Counter::default(),
            aggregates: Counter::default(),
            broken: Counter::default(),
            outside: Counter::default(),
            discarded: Counter::default(),
            state: Mutex::new(state),
        }
    }
}

impl ShardMeter {
    /// What was measured last.
    #[must_use]
    pub fn state(&self) -> ShardState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures anew.
    pub fn measure(&self, change: impl FnOnce(&mut ShardState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The meters of one source: one for each shard that it reads or waits for, by shard.
#[derive(Debug, Default)]
pub struct SourceMeter(Mutex<BTreeMap<Arc<str>, Arc<ShardMeter>>>);

impl SourceMeter {
    /// The meter of a shard, a new one where there is none.
    pub fn shard(&self, shard: &Arc<str>) -> Arc<ShardMeter> {
        Arc::clone(self.lock().entry(Arc::clone(shard)).or_default())
    }

    /// All meters, by shard.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<Arc<str>, Arc<ShardMeter>> {
        self.lock().clone()
    }

    /// Forgets a shard that is read no more.
    pub fn forget(&self, shard: &str) {
        self.lock().remove(shard);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<ShardMeter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Metric;

    /// Guards what scrapers rely on: names are told apart, and say what only grows.
    #[test]
    fn names_are_told_apart() {
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert!(Metric::ALL.into_iter().skip(at + 1).all(|other| other.name() != metric.name()));
            assert!(metric.name().starts_with("siemline_") && !metric.help().is_empty() && !metric.labels().is_empty());
            let is_gauge = metric.name().ends_with("_milliseconds");
            assert!(is_gauge != metric.name().ends_with("_total"), "{}", metric.name());
        }
    }
}
