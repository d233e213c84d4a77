//! What lanes and the dead letters count, and what hinders them.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Counter;

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
    /// Entries whose receipt was given up: they are read again, from their source or from the spill.
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
    /// Entries made smaller because they were too large, each time counted.
    pub trimmed: Counter,
    /// Entries that went to the dead letters because they are too large.
    pub oversize: Counter,
    /// Times the lane stood still for `stalled_after` with something to deliver.
    pub stalls: Counter,
    /// What its spill counts, where it has one.
    pub spill: SpillMeter,
    condition: Mutex<LaneCondition>,
    state: Mutex<LaneState>,
}

/// How a lane stands now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// Requests under way.
    pub in_flight: u32,
    /// How many there may be: the window that the lane has found, up to `requests_in_flight_max`.
    pub window: u32,
    /// What a request takes until its answer is read, smoothed, in milliseconds; `None` before the first answer.
    pub latency_ms: Option<u64>,
    /// Why it does not move.
    pub reason: LaneReason,
    /// The destination's code behind the reason (`http_401`), where there is one.
    pub code: Cow<'static, str>,
    /// Since when, in milliseconds since 1970; `None` where it moves.
    pub since_ms: Option<i64>,
    /// Nothing was delivered or dead-lettered for `stalled_after`, although there is something.
    pub is_stalled: bool,
}

/// Why a lane does not move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LaneReason {
    /// It moves, or there is nothing to do.
    #[default]
    Moving,
    /// Nothing gets through until somebody mends something; small probes go now and then.
    Paused,
    /// The destination accepts nothing; the lane tries again.
    Failing,
    /// The destination asked to wait.
    AskedToWait,
    /// All that is left was answered "try again", and waits for its turn.
    Retrying,
    /// Requests are under way, and no answer comes.
    AwaitsAnswers,
    /// The store of the dead letters does not take what it is to keep.
    DeadLettersStuck,
    /// Batches wait for their age, or for the configured rate.
    Filling,
}

impl LaneReason {
    /// The word for it in logs, metrics and status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::AskedToWait => "asked_to_wait",
            Self::Retrying => "retrying",
            Self::AwaitsAnswers => "awaits_answers",
            Self::DeadLettersStuck => "dead_letters_stuck",
            Self::Filling => "filling",
        }
    }
}

/// How a lane gets on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaneCondition {
    /// The destination takes what it is sent, as far as is known. Next: `Failing` or `Paused`.
    #[default]
    Works,
    /// The destination accepts nothing, and is asked again until it does. Next: `Works` or `Paused`.
    Failing(Hindrance),
    /// Nothing gets through until somebody mends something; small batches probe. Next: `Works`.
    Paused(Hindrance),
}

/// What the spill of a lane counts.
#[derive(Debug, Default)]
pub struct SpillMeter {
    /// Entries written.
    pub written: Counter,
    /// Entries read back, for the lane.
    pub returned: Counter,
    /// Bytes that cannot be read any more: what stood there is lost to this sink.
    pub damaged_bytes: Counter,
    state: Mutex<Option<SpillState>>,
    has_all: AtomicBool,
}

/// How a spill stands now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpillState {
    /// What it takes on the disk.
    pub bytes: u64,
    /// What it may take.
    pub bytes_max: u64,
    /// When its oldest segment was begun, in milliseconds since 1970; `None` where it is empty.
    pub since_ms: Option<i64>,
    /// Why it takes nothing; `None` where it does.
    pub hindrance: Option<Hindrance>,
}

impl SpillMeter {
    /// How it stands; `None` where the lane has no spill.
    #[must_use]
    pub fn state(&self) -> Option<SpillState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spill looks anew.
    pub fn measure(&self, state: SpillState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// The process ends, and all that the lane has left is in the spill: the next process delivers it.
    pub fn keeps_all(&self) {
        self.has_all.store(true, Ordering::Release);
    }

    /// Whether what the lane gives up now is in the spill, and so is not read again.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.has_all.load(Ordering::Acquire)
    }
}

/// What stands in the way of something, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// A stable code.
    pub code: String,
    /// What was said, in words.
    pub words: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

impl LaneMeter {
    /// How the lane gets on now.
    #[must_use]
    pub fn condition(&self) -> LaneCondition {
        self.lock().clone()
    }

    /// The destination accepts nothing. Since when is kept from the first time; a pause stays one.
    pub fn fails(&self, why: Hindrance) {
        let mut condition = self.lock();
        *condition = match std::mem::take(&mut *condition) {
            LaneCondition::Works => LaneCondition::Failing(why),
            LaneCondition::Failing(before) => LaneCondition::Failing(why.kept_since(&before)),
            LaneCondition::Paused(before) => LaneCondition::Paused(before),
        };
    }

    /// The lane pauses, or stays paused, because of this.
    pub fn pauses(&self, why: Hindrance) {
        let mut condition = self.lock();
        *condition = match std::mem::take(&mut *condition) {
            LaneCondition::Works | LaneCondition::Failing(_) => LaneCondition::Paused(why),
            LaneCondition::Paused(before) => LaneCondition::Paused(why.kept_since(&before)),
        };
    }

    /// The destination takes what it is sent.
    pub fn works(&self) {
        *self.lock() = LaneCondition::Works;
    }

    /// How the lane stood when it last looked.
    #[must_use]
    pub fn state(&self) -> LaneState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lane looks anew.
    pub fn measure(&self, state: LaneState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn lock(&self) -> MutexGuard<'_, LaneCondition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hindrance {
    fn kept_since(self, before: &Self) -> Self {
        Self { since_ms: before.since_ms, ..self }
    }
}

/// How events ended, over all sinks: each event counted once, when its last lane has spoken, with the worst outcome.
#[derive(Debug, Default)]
pub struct EventMeter {
    /// Events that every sink they were routed to has.
    pub delivered: Counter,
    /// Events that a spill holds for at least one sink, and that the others have. What becomes of them later is counted by
    /// the lane alone, entry by entry.
    pub spilled: Counter,
    /// Events that a named rule let go.
    pub filtered: Counter,
    /// Events that lie in the dead letters of at least one sink.
    pub dead_lettered: Counter,
    /// Events that are read again.
    pub abandoned: Counter,
}

/// What the store of dead letters counts.
#[derive(Debug, Default)]
pub struct DeadLetterMeter {
    /// Letters that are kept.
    pub kept: Counter,
    /// Of these, the ones that a store on the network did not take, and the local file has.
    pub fell_back: Counter,
    hindrance: Mutex<Option<Hindrance>>,
    store_hindrance: Mutex<Option<Hindrance>>,
}

impl DeadLetterMeter {
    /// Why nothing can be kept now; `None` where it can.
    #[must_use]
    pub fn hindrance(&self) -> Option<Hindrance> {
        lock(&self.hindrance).clone()
    }

    /// Nothing can be kept. Since when is kept from the first time.
    pub fn fails(&self, why: Hindrance) {
        fail(&mut lock(&self.hindrance), why);
    }

    /// Why the store on the network takes nothing now; `None` where it does, or where there is none.
    #[must_use]
    pub fn store_hindrance(&self) -> Option<Hindrance> {
        lock(&self.store_hindrance).clone()
    }

    /// The store on the network takes nothing. Since when is kept from the first time.
    pub fn store_fails(&self, why: Hindrance) {
        fail(&mut lock(&self.store_hindrance), why);
    }

    /// The store on the network takes letters.
    pub fn store_works(&self) {
        *lock(&self.store_hindrance) = None;
    }

    /// So many letters were kept.
    pub fn keeps(&self, letters: usize) {
        self.kept.add_count(letters);
        *lock(&self.hindrance) = None;
    }
}

fn lock(hindrance: &Mutex<Option<Hindrance>>) -> MutexGuard<'_, Option<Hindrance>> {
    hindrance.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fail(hindrance: &mut Option<Hindrance>, why: Hindrance) {
    *hindrance = Some(match hindrance.take() {
        Some(before) => why.kept_since(&before),
        None => why,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what is said of a lane: since when is that of the first time, and a destination that is also out of reach does
    /// not hide that the lane has paused.
    #[test]
    fn a_condition_keeps_its_beginning() {
        let why = |code: &str, since_ms| Hindrance { code: code.into(), words: String::new(), since_ms };
        let meter = LaneMeter::default();
        assert_eq!(meter.condition(), LaneCondition::Works);
        meter.fails(why("http_503", 1));
        meter.fails(why("timeout", 2));
        assert_eq!(meter.condition(), LaneCondition::Failing(why("timeout", 1)));
        meter.pauses(why("http_401", 3));
        meter.fails(why("http_503", 4));
        assert_eq!(meter.condition(), LaneCondition::Paused(why("http_401", 3)));
        meter.pauses(why("http_403", 5));
        assert_eq!(meter.condition(), LaneCondition::Paused(why("http_403", 3)));
        meter.works();
        assert_eq!(meter.condition(), LaneCondition::Works);
    }
}
