//! What is counted, once: names and counters that every floor may use. Floor 0.
//!
//! Two sums must hold at any moment (law 1 of the house). Per event: `read = delivered + filtered + dead-lettered + in
//! flight + to be read again`. Per entry (an event at one sink) the same, kept by each lane in its [`LaneMeter`].
//!
//! [`Metric`] names everything that a scraper sees; what stands behind a name is in the meters here, and the room `telemetry`
//! puts the two together.

mod kafka;
mod lane;
mod name;
mod shard;
mod sink;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};

pub use kafka::{KafkaMeter, KafkaState};
pub use lane::{
    DeadLetterMeter, EventMeter, Hindrance, LaneCondition, LaneMeter, LaneReason, LaneState, SpillMeter, SpillState,
};
pub use name::{Kind, Metric, table};
pub use shard::{Reason, ShardMeter, ShardState, SourceMeter, SourceState};
pub use sink::{ElasticMeter, SinkMeter, SinkState, SplunkHecMeter, SumoMeter};
pub use tally::Tally;

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
