//! What reads the shards, and asks for checkpoints.

use super::{Checkpoint, Simulation, place_of};

/// A worker's reading of one shard.
pub(super) struct Reading {
    pub(super) next: u64,
    pub(super) written: u64,
    /// The number of the checkpoint that is on its way, and what it says: so many records, or the end.
    asked: Option<(u64, Option<u64>)>,
    tickets: u64,
    pub(super) is_recalled: bool,
}

impl Reading {
    /// Behind so many records.
    pub(super) fn at(next: u64) -> Self {
        Self { next, written: next, asked: None, tickets: 0, is_recalled: false }
    }
}

impl Simulation {
    pub(super) fn written(&mut self, n: usize, shard: &str, ticket: u64) {
        let Some(reading) = self.workers[n].readings.get_mut(shard) else { return };
        match reading.asked.take_if(|(asked, _)| *asked == ticket) {
            Some((_, Some(records))) => reading.written = records,
            Some((_, None)) => self.give_back(n, shard),
            None => {}
        }
    }

    pub(super) fn give_back(&mut self, n: usize, shard: &str) {
        self.workers[n].readings.remove(shard);
        self.workers[n].worker.returned(shard);
        self.poll_soon(n);
    }

    pub(super) fn read_all(&mut self) {
        for n in 0..self.workers.len() {
            if self.workers[n].is_alive && !self.workers[n].is_paused {
                let shards: Vec<String> = self.workers[n].readings.keys().cloned().collect();
                for shard in shards {
                    self.read(n, &shard);
                }
            }
        }
    }

    fn read(&mut self, n: usize, id: &str) {
        let at = place_of(id);
        let reading = self.workers[n].readings.get_mut(id).unwrap();
        if !reading.is_recalled {
            let until = self.stream[at].records.min(reading.next + self.dice.u64(0..20));
            reading.next = until;
            if until > self.stream[at].delivered {
                self.stream[at].delivered = until;
                self.check_parents(at);
            }
        }
        let reading = self.workers[n].readings.get_mut(id).unwrap();
        if reading.asked.is_some() {
            return;
        }
        let is_at_end = self.stream[at].shard.is_closed && reading.next == self.stream[at].records;
        let wish = if is_at_end {
            None
        } else if reading.written < reading.next && (reading.is_recalled || self.dice.u8(0..5) == 0) {
            Some(reading.next)
        } else if reading.is_recalled && reading.written == reading.next {
            self.give_back(n, id);
            return;
        } else {
            return;
        };
        reading.tickets += 1;
        reading.asked = Some((reading.tickets, wish));
        let ticket = reading.tickets;
        let checkpoint = wish.map_or(Checkpoint::ShardEnd, checkpoint_of);
        if self.workers[n].worker.checkpoint(id, checkpoint, Vec::new(), ticket) {
            self.poll_soon(n);
        } else {
            self.give_back(n, id);
        }
    }
}

/// The checkpoint behind so many records.
fn checkpoint_of(records: u64) -> Checkpoint {
    Checkpoint::Sequence { sequence: records.to_string(), sub_sequence: 0 }
}

pub(super) fn records_of(checkpoint: &Checkpoint) -> u64 {
    match checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.parse().unwrap(),
        _ => 0,
    }
}
