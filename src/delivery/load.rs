//! A load: a batch on its way, with the events behind its entries and their share in the chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::window::Ticket;
use super::{Batch, Block, DeadLetter, DeadReason, EventView, Reason, Schedule, What, count_event};
use crate::ack::{Outcome, Receipt};
use crate::budget::{Budget, Charge};
use crate::metric::{EventMeter, LaneMeter};

/// Where a lane counts.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    /// Entries.
    pub lane: Arc<LaneMeter>,
    /// Events, over all lanes.
    pub events: Arc<EventMeter>,
}

/// A share in one chunk through one batch. When the last of its entries has ended, the receipt is settled with the worst.
#[derive(Debug)]
pub(super) struct Share {
    block: Arc<Block>,
    receipt: Option<Receipt>,
    worst: AtomicU8,
    meters: Meters,
}

/// One event at one sink. Whatever happens to it is spoken through [`Entry::settle`]; an entry that is dropped without is
/// abandoned.
#[derive(Debug)]
pub(super) struct Entry {
    share: Arc<Share>,
    row: u32,
    settled: bool,
}

/// A batch and what belongs to it. All its entries have the same history.
#[derive(Debug)]
pub(super) struct Load {
    pub batch: Batch,
    pub entries: Vec<Entry>,
    pub history: History,
    /// Its own waits, once some of its entries were answered "try again" while others were accepted.
    pub schedule: Option<Box<Schedule>>,
    /// Set while it is sent to see whether a paused destination is back.
    pub is_probe: bool,
    /// Set while it is under way.
    pub ticket: Option<Ticket>,
    charge: Charge,
}

/// What has happened to a load's entries so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    /// How often they were sent.
    pub attempts: u32,
    /// When first, in milliseconds since 1970.
    pub first_ms: i64,
    /// When last.
    pub last_ms: i64,
    /// How often they were answered "try again" while others were accepted.
    pub retries: u32,
    /// What the lane had seen accepted when they were last answered, or made.
    pub accepted_before: u64,
    /// Which of the lane's waits had gone by when they were last sent.
    pub wait_number: u64,
}

/// Entries that are on their way to the dead letters.
#[derive(Debug)]
pub(super) struct Burial {
    pub letters: Vec<DeadLetter>,
    pub entries: Vec<Entry>,
}

impl Share {
    pub fn new(block: &Arc<Block>, receipt: Receipt, meters: Meters) -> Arc<Self> {
        let worst = AtomicU8::new(Outcome::Delivered.code());
        Arc::new(Self { block: Arc::clone(block), receipt: Some(receipt), worst, meters })
    }

    fn note(&self, row: u32, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => self.meters.lane.delivered.add(1),
            Outcome::DeadLettered => self.meters.lane.dead_lettered.add(1),
            Outcome::Abandoned => self.meters.lane.abandoned.add(1),
            Outcome::Spilled | Outcome::Filtered => debug_assert!(false, "a lane neither filters nor spills"),
        }
        self.worst.fetch_max(outcome.code(), Ordering::AcqRel);
        let is_kept = outcome == Outcome::Abandoned && self.meters.lane.spill.has_all();
        let of_event = if is_kept { Outcome::Spilled } else { outcome };
        if let Some(outcome) = self.block.settle(row, of_event) {
            count_event(&self.meters.events, outcome);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.settle(Outcome::of_code(self.worst.load(Ordering::Acquire)));
        }
    }
}

impl Entry {
    pub fn new(share: Arc<Share>, row: u32) -> Self {
        Self { share, row, settled: false }
    }

    pub fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.share.note(self.row, outcome);
    }

    /// The event, as sinks see it.
    pub fn event(&self) -> Option<EventView<'_>> {
        self.share.block.event(self.row)
    }

    /// The letter that says why this entry is dead.
    pub fn letter(&self, sink: &Arc<str>, reason: DeadReason, why: Reason, history: &History) -> DeadLetter {
        DeadLetter {
            block: Arc::clone(&self.share.block),
            what: What::Row(self.row),
            reason,
            code: why.code,
            words: why.words,
            sink: Some(Arc::clone(sink)),
            attempts: history.attempts,
            first_ms: history.first_ms,
            last_ms: history.last_ms,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.settled {
            self.share.note(self.row, Outcome::Abandoned);
        }
    }
}

impl Load {
    pub fn new(batch: Batch, entries: Vec<Entry>, history: History, budget: &Budget) -> Self {
        debug_assert_eq!(batch.len(), entries.len(), "one frame an entry");
        let charge = budget.charge(room(&batch, &entries));
        Self { batch, entries, history, schedule: None, is_probe: false, ticket: None, charge }
    }

    /// The first `count` entries and the rest, each a load of its own with the same history.
    pub fn split(self, count: usize) -> (Self, Self) {
        let Self { batch, mut entries, history, charge, .. } = self;
        let budget = charge.budget();
        let rest = entries.split_off(count.min(entries.len()));
        let first = Self::new(batch.slice(|number| number < count), entries, history, budget);
        let rest = Self::new(batch.slice(|number| number >= count), rest, history, budget);
        (first, rest)
    }

    /// Puts another frame in the place of the only one.
    pub fn reframe(&mut self, frame: &[u8]) {
        debug_assert_eq!(self.entries.len(), 1, "one frame, one entry");
        let mut batch = Batch::of_bucket(self.batch.bucket());
        batch.push(|out| out.extend_from_slice(frame));
        self.batch = batch;
        self.charge.resize(room(&self.batch, &self.entries));
    }

    /// The load without the entries that were taken out of it: `kept` is what stays, with the old numbers.
    pub fn keep(self, kept: Vec<(usize, Entry)>) -> Self {
        let Self { batch, history, schedule, charge, is_probe, .. } = self;
        if kept.len() == batch.len() {
            let entries = kept.into_iter().map(|(_, entry)| entry).collect();
            return Self { batch, entries, history, schedule, is_probe, ticket: None, charge };
        }
        let mut numbers = kept.iter().map(|(number, _)| *number).peekable();
        let part = batch.slice(|number| numbers.next_if_eq(&number).is_some());
        let entries = kept.into_iter().map(|(_, entry)| entry).collect();
        Self { schedule, is_probe, ..Self::new(part, entries, history, charge.budget()) }
    }
}

/// The bytes that a batch and its entries take.
pub(super) fn room(batch: &Batch, entries: &[Entry]) -> usize {
    batch.body().len() + size_of_val(entries)
}
