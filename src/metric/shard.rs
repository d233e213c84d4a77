//! What the readers of shards measure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Counter;

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

    /// Says whether something is in the way that somebody may have to look after. A child that waits for its parents, and a
    /// shard that another process reads, are as they should be.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::Moving | Self::WaitsForParent | Self::LeaseLost)
    }
}

/// What is known of one shard now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardState {
    /// Why it does not move.
    pub reason: Reason,
    /// For how long, in milliseconds; 0 where it moves.
    pub standstill_ms: u64,
    /// Whether that is longer than it may be (`standstill_after`): short waits are the pace of every reading.
    pub is_still: bool,
    /// How far it is behind the newest record, in milliseconds; `None` before the service has said so.
    pub behind_ms: Option<u64>,
    /// The time until its oldest record that is not settled expires, in milliseconds; negative where records are being lost.
    /// `None` while the retention is not known.
    pub headroom_ms: Option<i64>,
}

/// What the reader of one shard counts and measures.
#[derive(Debug)]
pub struct ShardMeter {
    /// [`Metric::ShardRecords`](super::Metric::ShardRecords)
    pub records: Counter,
    /// [`Metric::ShardBytes`](super::Metric::ShardBytes)
    pub bytes: Counter,
    /// [`Metric::ShardThrottled`](super::Metric::ShardThrottled)
    pub throttled: Counter,
    /// [`Metric::ShardFailures`](super::Metric::ShardFailures)
    pub failures: Counter,
    /// [`Metric::KplAggregates`](super::Metric::KplAggregates)
    pub aggregates: Counter,
    /// [`Metric::KplBroken`](super::Metric::KplBroken)
    pub broken: Counter,
    /// [`Metric::KplOutside`](super::Metric::KplOutside)
    pub outside: Counter,
    /// [`Metric::KplDiscarded`](super::Metric::KplDiscarded)
    pub discarded: Counter,
    state: Mutex<ShardState>,
}

impl Default for ShardMeter {
    fn default() -> Self {
        let state = ShardState {
            reason: Reason::Moving,
            standstill_ms: 0,
            is_still: false,
            behind_ms: None,
            headroom_ms: None,
        };
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
        *lock(&self.state)
    }

    /// Measures anew.
    pub fn measure(&self, change: impl FnOnce(&mut ShardState)) {
        change(&mut lock(&self.state));
    }
}

/// What one source measures: a meter for each shard that it reads or waits for, and whether its parts (the streams of a
/// Kinesis source) could be opened.
#[derive(Debug, Default)]
pub struct SourceMeter {
    shards: Mutex<BTreeMap<Arc<str>, Arc<ShardMeter>>>,
    opening: Mutex<Opening>,
}

#[derive(Debug, Default)]
struct Opening {
    parts: BTreeMap<Arc<str>, Part>,
    /// Set when the source has ended: with the words of what ended it badly.
    ended: Option<Result<(), String>>,
}

#[derive(Debug, Default)]
struct Part {
    is_open: bool,
    hindrance: Option<String>,
}

/// How a source gets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Not all of it could be opened yet, with what is in the way, if anything is known. Next: any other.
    Opening(Option<String>),
    /// It reads, with what is in the way of reading all of it, if anything is known. Next: `Ended` or `Failed`.
    Reading(Option<String>),
    /// It has read to its end, or was asked to stop.
    Ended,
    /// It cannot go on.
    Failed(String),
}

impl SourceMeter {
    /// The meter of a shard, a new one where there is none.
    pub fn shard(&self, shard: &Arc<str>) -> Arc<ShardMeter> {
        Arc::clone(lock(&self.shards).entry(Arc::clone(shard)).or_default())
    }

    /// All meters, by shard.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<Arc<str>, Arc<ShardMeter>> {
        lock(&self.shards).clone()
    }

    /// Forgets a shard that is read no more.
    pub fn forget(&self, shard: &str) {
        lock(&self.shards).remove(shard);
    }

    /// A part of the source is about to be opened.
    pub fn expect(&self, part: &Arc<str>) {
        lock(&self.opening).parts.entry(Arc::clone(part)).or_default();
    }

    /// A part of the source can be read.
    pub fn opened(&self, part: &Arc<str>) {
        lock(&self.opening).parts.entry(Arc::clone(part)).or_default().is_open = true;
    }

    /// Something is in the way of a part of the source, or nothing more is.
    pub fn hinder(&self, part: &Arc<str>, words: Option<String>) {
        lock(&self.opening).parts.entry(Arc::clone(part)).or_default().hindrance = words;
    }

    /// The source has ended: well, or because of what the words say.
    pub fn end(&self, ended: Result<(), String>) {
        lock(&self.opening).ended = Some(ended);
    }

    /// How the source gets on now.
    #[must_use]
    pub fn state(&self) -> SourceState {
        let opening = lock(&self.opening);
        match &opening.ended {
            Some(Err(words)) => return SourceState::Failed(words.clone()),
            Some(Ok(())) => return SourceState::Ended,
            None => {}
        }
        let are_several = opening.parts.len() > 1;
        let words = |(name, part): (&Arc<str>, &Part)| {
            let words = part.hindrance.clone()?;
            Some(if are_several { format!("{name}: {words}") } else { words })
        };
        let hindrances: Vec<String> = opening.parts.iter().filter_map(words).collect();
        let hindrance = (!hindrances.is_empty()).then(|| hindrances.join("; "));
        let is_open = !opening.parts.is_empty() && opening.parts.values().all(|part| part.is_open);
        if is_open { SourceState::Reading(hindrance) } else { SourceState::Opening(hindrance) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what readiness asks: a source is open when all of its parts are, what is in the way of one is told by its name
    /// where there are several, and its end is the last word.
    #[test]
    fn a_source_is_open_when_all_of_it_is() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let meter = SourceMeter::default();
        assert_eq!(meter.state(), SourceState::Opening(None), "nothing is known of it");
        meter.expect(&one);
        meter.hinder(&one, Some("throttled".into()));
        assert_eq!(meter.state(), SourceState::Opening(Some("throttled".into())));
        meter.expect(&two);
        meter.opened(&one);
        assert_eq!(meter.state(), SourceState::Opening(Some("one: throttled".into())));
        meter.opened(&two);
        meter.hinder(&one, None);
        assert_eq!(meter.state(), SourceState::Reading(None));
        meter.hinder(&two, Some("no table".into()));
        assert_eq!(meter.state(), SourceState::Reading(Some("two: no table".into())));
        meter.end(Ok(()));
        assert_eq!(meter.state(), SourceState::Ended);
        meter.end(Err("gone".into()));
        assert_eq!(meter.state(), SourceState::Failed("gone".into()));
    }
}
