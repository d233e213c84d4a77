//! The meters of everything that runs, in one place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::status::{
    DeadLetterStatus, EventStatus, HindranceStatus, LaneStatus, MemoryStatus, ShardStatus, SourceStatus, SpillStatus,
    Status,
};
use crate::budget::Budget;
use crate::metric::{
    DeadLetterMeter, EventMeter, Hindrance, LaneCondition, LaneMeter, ShardMeter, SinkMeter, SourceMeter, SourceState,
    Tally,
};
use crate::shutdown::Shutdown;

/// What is measured while a process runs. Cheap to clone: it holds the meters, and not what they measure.
#[derive(Clone, Debug)]
pub struct Board {
    /// When the process started, in milliseconds since 1970.
    pub started_ms: i64,
    /// The sources, by name.
    pub sources: Vec<(Arc<str>, Arc<SourceMeter>)>,
    /// The lanes, by the names of their sinks.
    pub lanes: Vec<(Arc<str>, Arc<LaneMeter>)>,
    /// What sinks measure of their own, by their names.
    pub sinks: Vec<(Arc<str>, SinkMeter)>,
    /// How events ended.
    pub events: Arc<EventMeter>,
    /// What was read and made of it.
    pub tally: Arc<Mutex<Tally>>,
    /// The store of dead letters.
    pub dead_letters: Arc<DeadLetterMeter>,
    /// The memory budget.
    pub budget: Budget,
    /// The wish to stop: a process that drains takes on nothing more.
    pub shutdown: Shutdown,
}

impl Board {
    /// What the meters show, now.
    #[must_use]
    pub fn status(&self, now_ms: i64) -> Status {
        let lanes: BTreeMap<_, _> = self.lanes.iter().map(|(name, meter)| (name.to_string(), lane(meter))).collect();
        let sources: BTreeMap<_, _> =
            self.sources.iter().map(|(name, meter)| (name.to_string(), source(meter))).collect();
        let dead_letters = DeadLetterStatus {
            kept: self.dead_letters.kept.get(),
            fell_back: self.dead_letters.fell_back.get(),
            store_hindrance: self.dead_letters.store_hindrance().map(Into::into),
            hindrance: self.dead_letters.hindrance().map(Into::into),
        };
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            now_ms,
            is_ready: false,
            not_ready: Vec::new(),
            troubles: Vec::new(),
            events: self.events(),
            sources,
            lanes,
            sinks: self.sinks.iter().map(|(name, meter)| (name.to_string(), meter.state())).collect(),
            dead_letters,
            memory: MemoryStatus {
                in_flight_bytes: whole(self.budget.used()),
                in_flight_bytes_peak: whole(self.budget.peak()),
                in_flight_bytes_max: whole(self.budget.bytes_max()),
            },
        };
        status.not_ready = status.hindrances();
        if self.shutdown.is_requested() {
            status.not_ready.push("the process was asked to stop, and drains".to_owned());
        }
        status.is_ready = status.not_ready.is_empty();
        status.troubles = status.worries();
        status
    }

    /// The books of events. The ends are read before what was read, so that nothing is ever seen to have ended that was not
    /// read.
    fn events(&self) -> EventStatus {
        let (delivered, dead_lettered) = (self.events.delivered.get(), self.events.dead_lettered.get());
        let (abandoned, spilled) = (self.events.abandoned.get(), self.events.spilled.get());
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let filtered = tally.filtered.values().sum();
        let ended = delivered + spilled + filtered + dead_lettered + abandoned;
        EventStatus {
            records: tally.records,
            record_bytes: tally.bytes,
            read: tally.events,
            delivered,
            spilled,
            filtered,
            dead_lettered,
            abandoned,
            in_flight: tally.events.saturating_sub(ended),
            by_log_type: tally.log_types.into_iter().map(|(name, counts)| (name.to_string(), counts)).collect(),
            by_rule: tally.filtered.into_iter().map(|(name, count)| (name.to_string(), count)).collect(),
            broken: tally.broken,
            complaints: tally.complaints.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        }
    }
}

impl Status {
    /// Why the process cannot do its work.
    ///
    /// A paused lane counts: nothing gets through to its sink until a person mends something, which is what readiness is for.
    /// It stops a rollout whose new token is wrong while the old copies still deliver; and since nobody is restarted for not
    /// being ready, it does no harm. A destination that fails and is tried again does not count: it is down, not we, and a
    /// rollout must be possible while it is. Nor does a shard that stands still: its neighbours are read.
    fn hindrances(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, source) in &self.sources {
            let why = source.words.as_deref();
            match source.state.as_str() {
                "opening" => {
                    words.push(format!("source `{name}` is not open yet: {}", why.unwrap_or("it is being asked")));
                }
                "failed" => words.push(format!("source `{name}` has failed: {}", why.unwrap_or_default())),
                _ => {}
            }
        }
        if let Some(why) = &self.dead_letters.hindrance {
            words.push(format!("dead letters cannot be kept, and reading stops: {}", why.words));
        }
        for (name, lane) in self.lanes.iter().filter(|(_, lane)| lane.condition == "paused") {
            if let Some(why) = &lane.hindrance {
                words.push(format!("the lane of sink `{name}` is paused: {}: {}", why.code, why.words));
            }
        }
        words
    }

    /// What somebody may have to look after although work goes on.
    fn worries(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, source) in &self.sources {
            if let Some(why) = source.words.as_ref().filter(|_| source.state == "reading") {
                words.push(format!("source `{name}`: {why}"));
            }
            for (shard, state) in source.shards.iter().filter(|(_, state)| state.is_still && state.is_trouble) {
                let seconds = state.standstill_ms / 1000;
                words.push(format!("shard {shard} of source `{name}` stands still: {} for {seconds} s", state.reason));
            }
            for (shard, _) in source.shards.iter().filter(|(_, state)| state.headroom_ms.is_some_and(i64::is_negative))
            {
                words.push(format!(
                    "shard {shard} of source `{name}` is losing records: they expire before they are read"
                ));
            }
        }
        if let Some(why) = &self.dead_letters.store_hindrance {
            let (code, said) = (&why.code, &why.words);
            words.push(format!("the store of dead letters takes none, the local file does: {code}: {said}"));
        }
        for (name, spill) in self.lanes.iter().filter_map(|(name, lane)| Some((name, lane.spill.as_ref()?))) {
            if let Some(why) = &spill.hindrance {
                words.push(format!("the spill of sink `{name}` takes nothing more: {}: {}", why.code, why.words));
            }
            if spill.damaged_bytes > 0 {
                let bytes = spill.damaged_bytes;
                words
                    .push(format!("the spill of sink `{name}` was damaged: {bytes} bytes of it are lost to this sink"));
            }
        }
        for (name, lane) in self.lanes.iter().filter(|(_, lane)| lane.condition == "failing") {
            if let Some(why) = &lane.hindrance {
                words.push(format!("sink `{name}` accepts nothing and is tried again: {}: {}", why.code, why.words));
            }
        }
        words
    }
}

fn source(meter: &SourceMeter) -> SourceStatus {
    let (state, words) = match meter.state() {
        SourceState::Opening(words) => ("opening", words),
        SourceState::Reading(words) => ("reading", words),
        SourceState::Ended => ("ended", None),
        SourceState::Failed(words) => ("failed", Some(words)),
    };
    let shards = meter.shards().iter().map(|(name, meter)| (name.to_string(), shard(meter))).collect();
    SourceStatus { state: state.to_owned(), words, shards }
}

fn shard(meter: &ShardMeter) -> ShardStatus {
    let state = meter.state();
    ShardStatus {
        reason: state.reason.word().to_owned(),
        standstill_ms: state.standstill_ms,
        is_still: state.is_still,
        is_trouble: state.reason.is_trouble(),
        behind_ms: state.behind_ms,
        headroom_ms: state.headroom_ms,
        records: meter.records.get(),
        bytes: meter.bytes.get(),
        throttled: meter.throttled.get(),
        failures: meter.failures.get(),
        kpl_aggregates: meter.aggregates.get(),
        kpl_broken: meter.broken.get(),
        kpl_outside: meter.outside.get(),
        kpl_discarded: meter.discarded.get(),
    }
}

/// The books of a lane; the ends are read before what came.
fn lane(meter: &LaneMeter) -> LaneStatus {
    let (condition, hindrance) = match meter.condition() {
        LaneCondition::Works => ("works", None),
        LaneCondition::Failing(why) => ("failing", Some(why)),
        LaneCondition::Paused(why) => ("paused", Some(why)),
    };
    let (delivered, duplicates) = (meter.delivered.get(), meter.duplicates.get());
    let (dead_lettered, abandoned) = (meter.dead_lettered.get(), meter.abandoned.get());
    let entries = meter.entries.get();
    let state = meter.state();
    LaneStatus {
        condition: condition.to_owned(),
        hindrance: hindrance.map(Into::into),
        entries,
        delivered,
        duplicates,
        dead_lettered,
        abandoned,
        in_flight: entries.saturating_sub(delivered + dead_lettered + abandoned),
        retried: meter.retried.get(),
        requests: meter.requests.get(),
        failures: meter.failures.get(),
        splits: meter.splits.get(),
        pauses: meter.pauses.get(),
        bytes: meter.bytes.get(),
        trimmed: meter.trimmed.get(),
        oversize: meter.oversize.get(),
        requests_in_flight: state.in_flight,
        window: state.window,
        latency_ms: state.latency_ms,
        stalls: meter.stalls.get(),
        is_stalled: state.is_stalled,
        reason: state.reason.word().to_owned(),
        still_since_ms: state.since_ms,
        spill: meter.spill.state().map(|state| SpillStatus {
            written: meter.spill.written.get(),
            returned: meter.spill.returned.get(),
            damaged_bytes: meter.spill.damaged_bytes.get(),
            bytes: state.bytes,
            bytes_max: state.bytes_max,
            since_ms: state.since_ms,
            hindrance: state.hindrance.map(Into::into),
        }),
    }
}

impl From<Hindrance> for HindranceStatus {
    fn from(Hindrance { code, words, since_ms }: Hindrance) -> Self {
        Self { code, words, since_ms }
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
