//! What must hold.

use super::{Being, Checkpoint, Event, GAP_MAX, Simulation, TICK, place_of, records_of};
use crate::lease::is_ready;

impl Simulation {
    pub(super) fn tick(&mut self) {
        self.read_all();
        self.check_served();
        let is_settled = self.now > self.calm_at && self.unsettled().is_none();
        self.settled_since = if is_settled { self.settled_since.or(Some(self.now)) } else { None };
        self.at(self.now + TICK, Event::Tick);
    }

    /// No record comes before all of its shard's parents are read.
    pub(super) fn check_parents(&self, at: usize) {
        let is_read = |parent: &String| {
            let parent = &self.stream[place_of(parent)];
            parent.delivered == parent.records
        };
        if !self.stream[at].shard.parents.iter().all(is_read) {
            self.fail(&format!("{} is read before its parents are", self.stream[at].shard.id));
        }
    }

    /// Checkpoints move forwards, and only over what is delivered.
    pub(super) fn check_checkpoint(&self, id: &str, before: &Checkpoint, after: &Checkpoint) {
        if after.is_before(before) {
            self.fail(&format!("the checkpoint of {id} moves back from {before:?} to {after:?}"));
        }
        let stored = &self.stream[place_of(id)];
        let records = if *after == Checkpoint::ShardEnd { stored.records } else { records_of(after) };
        if stored.delivered < records {
            self.fail(&format!("the checkpoint of {id} is {after:?}, and {} are delivered", stored.delivered));
        }
    }

    /// No shard stands without a reader.
    fn check_served(&mut self) {
        for (id, lease) in &self.table {
            if !is_ready(lease, &self.table) || self.is_read(id) {
                self.served.insert(id.clone(), self.now);
            }
        }
        for (id, served) in &self.served {
            if self.table.contains_key(id) {
                self.tally.gap_longest = self.tally.gap_longest.max(self.now - served);
                if self.now - served > GAP_MAX {
                    self.fail(&format!("nobody has read {id} since {served} ms"));
                }
            }
        }
    }

    pub(super) fn check_end(&self) {
        if let Some(words) = self.unsettled() {
            self.fail(&words);
        }
    }

    /// What is not as it should be when nothing goes wrong any more.
    fn unsettled(&self) -> Option<String> {
        if let Some(stored) = self.stream.iter().find(|stored| stored.delivered != stored.records) {
            let (delivered, records, id) = (stored.delivered, stored.records, &stored.shard.id);
            return Some(format!("{delivered} of {records} records of {id} are read"));
        }
        if let Some((id, _)) = self.table.iter().find(|(id, lease)| is_ready(lease, &self.table) && !self.is_read(id)) {
            return Some(format!("nobody reads {id}"));
        }
        let living = || self.workers.iter().filter(|being| being.is_alive);
        let read: usize = living().map(|being| being.readings.len()).sum();
        let share = read.div_ceil(living().count());
        let rich = living().find(|being| being.readings.len() > share)?;
        Some(format!("{} has {} leases, the share is {share}", rich.id, rich.readings.len()))
    }

    fn is_read(&self, id: &str) -> bool {
        let is_reader = |being: &Being| being.is_alive && !being.is_paused && being.readings.contains_key(id);
        self.workers.iter().any(is_reader)
    }
}
