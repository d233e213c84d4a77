//! Records on their way: opened, given room, handed on, settled.

use super::{END_SLACK_MS, Ending, Lasting, Reader, at};
use crate::ack::{Settled, Step};
use crate::record::Record;
use crate::source::kinesis::aggregate::RECORD_OVERHEAD_BYTES;
use crate::source::kinesis::feed::now_ms;
use crate::source::{Closed, Intake, Room};

/// The most records of one chunk: user records of an aggregate may be of a few bytes.
const CHUNK_RECORDS_MAX: usize = 10_000;

impl Reader {
    /// Takes fetched records apart until there are enough of them for a chunk.
    pub(super) fn open_fetched(&mut self) {
        let bytes_max = self.work.options.chunk_bytes_max.bytes();
        let mut bytes: usize = self.ready.iter().take(CHUNK_RECORDS_MAX).map(|record| record.data.len()).sum();
        while bytes < bytes_max && self.ready.len() < CHUNK_RECORDS_MAX {
            let Some(record) = self.fetched.pop_front() else { break };
            let opened = self.opener.open(record);
            if opened.is_aggregate {
                self.meter.aggregates.add(1);
            }
            if let Some(broken) = opened.broken {
                self.meter.broken.add(1);
                tracing::debug!(shard = %self.opener.shard, %broken, "broken aggregate, taken as it is");
            }
            self.meter.outside.add_count(opened.outside);
            self.meter.discarded.add_count(opened.discarded);
            for record in opened.records {
                if self.is_wanted(&record) {
                    bytes = bytes.saturating_add(record.data.len());
                    self.ready.push_back(record);
                }
            }
        }
    }

    /// Leaves out what was handed on before, and what lies behind the end of a backfill.
    pub(super) fn is_wanted(&mut self, record: &Record) -> bool {
        if let Some(skip) = &self.skip {
            if at(&record.position) <= at(skip) {
                return false;
            }
            self.skip = None;
        }
        let (Some(end_ms), Some(arrival_ms)) = (self.work.options.end_ms(), record.arrival_ms) else { return true };
        if arrival_ms >= end_ms + END_SLACK_MS {
            self.fetched.clear();
            self.ending = Some(Ending::Reached);
        }
        arrival_ms < end_ms
    }

    /// Measures the next chunk and asks for a place for it.
    pub(super) fn place(&mut self, intake: &Intake) -> Lasting<(usize, Result<Room, Closed>)> {
        let bytes_max = self.work.options.chunk_bytes_max.bytes();
        let (mut fits, mut bytes) = (0, 0);
        for record in self.ready.iter().take(CHUNK_RECORDS_MAX) {
            if fits > 0 && record.data.len().saturating_add(bytes) > bytes_max {
                break;
            }
            fits += 1;
            bytes += record.data.len();
        }
        let ready = self.ready.make_contiguous();
        let records = self.window.chunk_len(ready.get(..fits).unwrap_or_default()).max(1);
        let cost = |record: &Record| record.data.len().saturating_add(RECORD_OVERHEAD_BYTES);
        let bytes = ready.iter().take(records).map(cost).sum();
        let charge = match &mut self.charge {
            Some(charge) => charge.split(bytes),
            None => intake.budget().charge(bytes),
        };
        let room = intake.clone().room_for(charge);
        Box::pin(async move { (records, room.await) })
    }

    /// Hands the next chunk on: so many records.
    pub(super) fn hand_on(&mut self, records: usize, room: Room) {
        let chunk: Vec<Record> = self.ready.drain(..records.min(self.ready.len())).collect();
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return };
        self.sent = Some(last.position.clone());
        self.arrivals.put(last.position.clone(), first.arrival_ms.unwrap_or_else(now_ms));
        self.meter.records.add_count(chunk.len());
        self.meter.bytes.add_count(chunk.iter().map(|record| record.data.len()).sum());
        self.window.put(chunk, room);
        self.tell_moved();
    }

    /// Takes note of a settled chunk; says whether the reading went back to the frontier.
    pub(super) fn settle(&mut self, settled: Settled) -> bool {
        match self.window.settle(settled) {
            Step::Wait => false,
            Step::Advance(position) => {
                self.arrivals.settled(&position);
                self.tell_moved();
                false
            }
            Step::Rewind => {
                tracing::warn!(shard = %self.opener.shard, "a chunk was abandoned, reading again from the checkpoint");
                self.let_go();
                true
            }
        }
    }

    /// Forgets what was fetched: the reading goes on at the frontier.
    pub(super) fn let_go(&mut self) {
        self.sent = self.window.settled().cloned();
        (self.feed, self.continuation, self.ending, self.charge) = (None, None, None, None);
        self.fetched.clear();
        self.ready.clear();
        if self.window.is_idle() {
            self.arrivals.clear();
        }
    }
}
