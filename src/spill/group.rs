//! How much is written and synced at once. Pure.

use crate::ack::ChunkId;
use crate::delivery::Parcel;

/// The most parcels that are written and synced at once.
pub(super) const GROUP_PARCELS_MAX: usize = 64;

/// About the most bytes of events that are written and synced at once.
pub(super) const GROUP_BYTES_MAX: usize = 8 << 20;

/// Entries that are written together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub numbers: Vec<ChunkId>,
    pub entries: Vec<usize>,
    pub bodies: Vec<Vec<u8>>,
    bytes: usize,
}

impl Group {
    pub fn push(&mut self, number: ChunkId, entries: usize, body: Vec<u8>) {
        self.bytes += body.len();
        self.numbers.push(number);
        self.entries.push(entries);
        self.bodies.push(body);
    }

    pub fn pop(&mut self) {
        self.numbers.pop();
        self.entries.pop();
        self.bytes -= self.bodies.pop().map_or(0, |body| body.len());
    }

    pub fn is_full(&self) -> bool {
        self.bodies.len() >= GROUP_PARCELS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

/// About how much a parcel's block holds.
pub(super) fn bytes_of(parcel: &Parcel) -> usize {
    let block = &parcel.block;
    block.ocsf.len() + block.raw.len() + block.records.iter().map(|record| record.data.len()).sum::<usize>()
}
