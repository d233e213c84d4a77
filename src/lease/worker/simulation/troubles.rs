//! What goes wrong.

use std::sync::Arc;

use super::{Event, Simulation, stored};

impl Simulation {
    /// The first worker is never struck: there is always somebody who could take over.
    pub(super) fn strike(&mut self) {
        let living: Vec<usize> =
            (1..self.workers.len()).filter(|n| self.workers[*n].is_alive && !self.workers[*n].is_paused).collect();
        if living.is_empty() {
            return self.be_born(self.now);
        }
        let n = living[self.dice.usize(..living.len())];
        let id = Arc::clone(&self.workers[n].id);
        for (shard, lease) in &self.table {
            let is_struck =
                [&lease.owner, &lease.checkpoint_owner].into_iter().any(|owner| owner.as_ref() == Some(&id));
            if is_struck {
                self.served.insert(shard.clone(), self.now);
            }
        }
        let now = self.workers[n].local(self.now);
        let strike = self.dice.u8(0..4);
        self.tell(n, || ["killed", "paused", "cut off", "stopped"][usize::from(strike)].to_owned());
        let being = &mut self.workers[n];
        match strike {
            0 => {
                let unsettled = being.readings.values().any(|reading| reading.written < reading.next);
                self.tally.kills_with_unsettled += u64::from(unsettled);
                being.is_alive = false;
                being.readings.clear();
                let back = self.now + self.dice.u64(0..15_000);
                self.be_born(back);
            }
            1 => {
                being.is_paused = true;
                self.tally.pauses += 1;
                let back = self.now + self.dice.u64(500..20_000);
                self.trouble_at(back, Event::Recover(n, 0));
            }
            2 => {
                being.is_cut_off = true;
                self.tally.partitions += 1;
                let back = self.now + self.dice.u64(500..20_000);
                self.trouble_at(back, Event::Recover(n, 1));
            }
            _ => {
                being.worker.stop(now);
                being.is_stopping = true;
                being.readings.values_mut().for_each(|reading| reading.is_recalled = true);
                self.tally.stops += 1;
                self.poll_soon(n);
                let back = self.now + self.dice.u64(0..15_000);
                self.be_born(back);
            }
        }
    }

    pub(super) fn recover(&mut self, n: usize, what: u8) {
        self.tell(n, || "recovers".to_owned());
        match what {
            0 => self.workers[n].is_paused = false,
            _ => self.workers[n].is_cut_off = false,
        }
        self.poll_soon(n);
    }

    pub(super) fn reshard(&mut self) {
        let mut open: Vec<usize> = (0..self.stream.len()).filter(|at| !self.stream[*at].shard.is_closed).collect();
        open.sort_by_key(|at| self.stream[*at].shard.hash_range.unwrap().start);
        let at = self.dice.usize(..open.len());
        let next = u64::try_from(self.stream.len()).unwrap();
        let range = self.stream[open[at]].shard.hash_range.unwrap();
        let parent = self.stream[open[at]].shard.id.clone();
        let records = self.dice.u64(0..30);
        if self.dice.bool() && at + 1 < open.len() {
            let other = &self.stream[open[at + 1]].shard;
            let (parents, end) = (vec![parent, other.id.clone()], other.hash_range.unwrap().end);
            self.stream[open[at + 1]].shard.is_closed = true;
            self.tally.merges += 1;
            self.stream.push(stored(next, parents, range.start, end, records));
        } else {
            self.tally.splits += 1;
            let middle = range.start + (range.end - range.start) / 2;
            self.stream.push(stored(next, vec![parent.clone()], range.start, middle, records));
            self.stream.push(stored(next + 1, vec![parent], middle + 1, range.end, records));
        }
        self.stream[open[at]].shard.is_closed = true;
    }
}
