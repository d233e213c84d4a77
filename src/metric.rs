//! What is counted, once: names and counters that every floor may use. Floor 0.
//!
//! Two sums must hold at any moment (law 1 of the house). Per event: `read = delivered + filtered + dead-lettered + in
//! flight + to be read again`. Per entry (an event at one sink) the same, kept by each lane in its [`LaneMeter`].

use std::sync::atomic::{AtomicU64, Ordering};

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
